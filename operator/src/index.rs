//! Everything the operator knows about the cluster, as of the last event of each watch. Pure: events in, lookups out.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use llmcache_crds::{LLMCacheInvalidation, LLMCachePolicy};

use crate::facts::{ConfigMap, Key, LimitRange, Namespace, Owner, Pod};

#[cfg(test)]
mod tests;

/// What a watch saw of one kind.
#[derive(Clone, Debug)]
pub enum Delta<T> {
    /// All objects there are, after a first or repeated list.
    All(Vec<T>),
    /// All objects there are, and the names of others that cannot be read: what was known of those stays.
    AllBut(Vec<T>, Vec<Key>),
    /// One object is new or changed.
    One(Box<T>),
    /// One object is gone.
    Gone(Key),
}

/// What a watch saw.
#[derive(Clone, Debug)]
pub enum Change {
    /// Policies.
    Policies(Delta<LLMCachePolicy>),
    /// Invalidations.
    Invalidations(Delta<LLMCacheInvalidation>),
    /// Pods that have not finished.
    Pods(Delta<Pod>),
    /// Namespaces.
    Namespaces(Delta<Namespace>),
    /// Owners of one kind.
    Owners(&'static str, Delta<Owner>),
    /// ConfigMaps of one watched namespace; empty = of all.
    ConfigMaps(String, Delta<ConfigMap>),
    /// LimitRanges.
    LimitRanges(Delta<LimitRange>),
}

/// The objects of one kind.
pub type Table<T> = BTreeMap<Key, Arc<T>>;

/// All tables; only [`Index::apply`] changes them.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Policies.
    pub policies: Table<LLMCachePolicy>,
    /// Invalidations.
    pub invalidations: Table<LLMCacheInvalidation>,
    /// Pods that have not finished.
    pub pods: Table<Pod>,
    /// Namespaces.
    pub namespaces: Table<Namespace>,
    /// Owners by kind.
    pub owners: BTreeMap<&'static str, Table<Owner>>,
    /// ConfigMaps by watched namespace; empty = of all.
    pub config_maps: BTreeMap<String, Table<ConfigMap>>,
    /// LimitRanges.
    pub limit_ranges: Table<LimitRange>,
    listed: HashSet<String>,
}

/// An object with a place in a table.
trait Keyed {
    fn key(&self) -> Key;
}

impl Index {
    /// Takes in what a watch saw.
    pub fn apply(&mut self, change: Change) {
        let listed = match change {
            Change::Policies(delta) => take(&mut self.policies, delta).then(|| "policies".to_owned()),
            Change::Invalidations(delta) => take(&mut self.invalidations, delta).then(|| "invalidations".into()),
            Change::Pods(delta) => take(&mut self.pods, delta).then(|| "pods".into()),
            Change::Namespaces(delta) => take(&mut self.namespaces, delta).then(|| "namespaces".into()),
            Change::Owners(kind, delta) => {
                take(self.owners.entry(kind).or_default(), delta).then(|| format!("owners {kind}"))
            }
            Change::ConfigMaps(namespace, delta) => {
                let listed = format!("config maps {namespace}");
                take(self.config_maps.entry(namespace).or_default(), delta).then_some(listed)
            }
            Change::LimitRanges(delta) => take(&mut self.limit_ranges, delta).then(|| "limit ranges".into()),
        };
        self.listed.extend(listed);
    }

    /// How many watches have told all there is once.
    pub fn listed(&self) -> usize {
        self.listed.len()
    }

    /// The object at the end of a pod's chain of controllers, such as its Deployment; the pod's own reference where that
    /// object is not watched.
    pub fn root_owner(&self, pod: &Pod) -> Option<Owner> {
        let reference = pod.owner.as_ref()?;
        let mut owner = self.owner(&pod.key.namespace, &reference.kind, &reference.name)?;
        // ReplicaSet → Deployment and Job → CronJob: no chain is longer.
        if let Some(above) = &owner.owner
            && let Some(found) = self.owner(&pod.key.namespace, &above.kind, &above.name)
        {
            owner = found;
        }
        Some(Owner::clone(&owner))
    }

    /// A ConfigMap of a watched namespace.
    pub fn config_map(&self, key: &Key) -> Option<&Arc<ConfigMap>> {
        let tables = [self.config_maps.get(&key.namespace), self.config_maps.get("")];
        tables.into_iter().flatten().find_map(|table| table.get(key))
    }

    /// Whether ConfigMaps of a namespace are watched.
    pub fn watches_config_maps(&self, namespace: &str) -> bool {
        self.config_maps.contains_key(namespace) || self.config_maps.contains_key("")
    }

    fn owner(&self, namespace: &str, kind: &str, name: &str) -> Option<Arc<Owner>> {
        let key = Key {
            namespace: namespace.into(),
            name: name.into(),
        };
        self.owners.get(kind)?.get(&key).cloned()
    }
}

impl<T> Delta<T> {
    /// The same of another type.
    pub fn map<U>(self, convert: impl Fn(T) -> U) -> Delta<U> {
        match self {
            Self::All(objects) => Delta::All(objects.into_iter().map(convert).collect()),
            Self::AllBut(objects, unreadable) => Delta::AllBut(objects.into_iter().map(convert).collect(), unreadable),
            Self::One(object) => Delta::One(Box::new(convert(*object))),
            Self::Gone(key) => Delta::Gone(key),
        }
    }
}

/// Puts a delta into a table; whether it was everything there is.
fn take<T: Keyed>(table: &mut Table<T>, delta: Delta<T>) -> bool {
    match delta {
        Delta::All(objects) => return take(table, Delta::AllBut(objects, Vec::new())),
        Delta::AllBut(objects, unreadable) => {
            let known = unreadable.into_iter().filter_map(|key| table.remove_entry(&key));
            let known: Vec<_> = known.collect();
            let objects = objects.into_iter().map(|object| (object.key(), Arc::new(object)));
            *table = objects.chain(known).collect();
            return true;
        }
        Delta::One(object) => {
            table.insert(object.key(), Arc::from(object));
        }
        Delta::Gone(key) => {
            table.remove(&key);
        }
    }
    false
}

macro_rules! keyed_by_field {
    ($($kind:ty),*) => {$(
        impl Keyed for $kind {
            fn key(&self) -> Key {
                self.key.clone()
            }
        }
    )*};
}
keyed_by_field!(Pod, Namespace, Owner, ConfigMap, LimitRange);

impl Keyed for LLMCachePolicy {
    fn key(&self) -> Key {
        Key::of(&self.metadata)
    }
}

impl Keyed for LLMCacheInvalidation {
    fn key(&self) -> Key {
        Key::of(&self.metadata)
    }
}
