//! Which users a store class is to have. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use llmcache_policy::redis_acl;
use sha2::{Digest as _, Sha256};

use crate::facts::Key;
use crate::install_secret::InstallSecret;
use crate::plan::{Order, Program};
use crate::world::World;

/// The rules of one user, as `ACL SETUSER` takes them; they hold the hash of its password.
#[derive(Clone, PartialEq, Eq)]
pub struct User(pub Vec<String>);

/// Users by name.
pub type Users = BTreeMap<String, User>;

/// The users of the namespaces with a policy of a class, or with a pod that executes one.
pub fn wanted(world: &World, class: &str, secret: &InstallSecret) -> Users {
    let namespaces = using(world, class);
    let users = namespaces.into_iter().filter_map(|name| {
        let namespace = Key {
            namespace: String::new(),
            name: name.into(),
        };
        let keys = secret.keys(&world.index.namespaces.get(&namespace)?.uid)?;
        let password = hex::encode(Sha256::digest(keys.current.redis_password().as_bytes()));
        let mut rules = redis_acl::rules(&keys.current.redis_prefix(), &password);
        // What was stored under the key before is still read, and banned.
        rules.extend(keys.previous.map(|key| format!("~{}*", key.redis_prefix())));
        rules.push(format!("&{}", mark(&*secret.current)));
        Some((keys.current.redis_user(), User(rules)))
    });
    users.collect()
}

/// The channels by which the users of this install are told from another's, the one that is written first; those of the
/// secret before belong to it too, and go. They give nothing: no user may publish or subscribe.
pub fn marks(secret: &InstallSecret) -> Vec<String> {
    let secrets = [Some(&secret.current), secret.previous.as_ref()];
    secrets.into_iter().flatten().map(|secret| mark(&**secret)).collect()
}

fn mark(secret: &[u8]) -> String {
    let hash = Sha256::new()
        .chain_update(b"llmcache install mark")
        .chain_update(secret);
    format!("llmcache-install-{}", hex::encode(&hash.finalize()[..8]))
}

fn using<'a>(world: &'a World, class: &str) -> BTreeSet<&'a str> {
    let is_of = |program: &Program| program.snapshot.store_class.as_deref() == Some(class);
    let policies = world
        .plan
        .policies
        .iter()
        .filter(|(_, judged)| judged.program.as_deref().is_some_and(is_of));
    let pods = world.plan.pods.values().filter(|placed| match &placed.order {
        Order::Run(program) => is_of(program),
        Order::PassThrough | Order::Keep => false,
    });
    let pods = pods.map(|placed| placed.pod.key.namespace.as_str());
    policies.map(|(key, _)| key.namespace.as_str()).chain(pods).collect()
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("User(redacted)")
    }
}
