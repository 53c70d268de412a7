//! The API server, as kubectl reaches it: every call ends in time, and every failure says what to do.

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, ObjectList};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ClusterResourceScope, NamespaceResourceScope, PartialObjectMeta, Resource};
use kube::{Client, Config};
use llmcache_operator::policy::duration;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

mod forward;
mod trouble;

pub(crate) use trouble::{Call, Trouble};

/// Objects in one page of a list.
const PAGE: u32 = 500;
/// Pages that are read of one list: a hundred thousand objects.
const MAX_PAGES: usize = 200;
/// Longest wait for one answer of the API server, unless it is given.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to reach the cluster, as kubectl takes it.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Connection {
    /// Context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Kubeconfig file. Default: those of $KUBECONFIG, else ~/.kube/config, else the pod's own account.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Namespace. Default: the context's.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Longest wait for one answer of the API server, such as 5s or 1m; 0 = no limit. Default: 30s.
    #[arg(long, value_name = "DURATION", value_parser = patience)]
    request_timeout: Option<Duration>,
}

/// One API server, and the namespace in force.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    server: String,
    /// Where commands look without `--all-namespaces`.
    pub(crate) namespace: String,
    patience: Duration,
}

impl Connection {
    /// These flags, and where they say nothing, those given before the command.
    pub(crate) fn or(&self, before: &Self) -> Self {
        Self {
            context: self.context.clone().or_else(|| before.context.clone()),
            kubeconfig: self.kubeconfig.clone().or_else(|| before.kubeconfig.clone()),
            namespace: self.namespace.clone().or_else(|| before.namespace.clone()),
            request_timeout: self.request_timeout.or(before.request_timeout),
        }
    }

    /// The flags given, for commands that take none of them.
    pub(crate) fn given(&self) -> Vec<&'static str> {
        let given = [
            (self.context.is_some(), "--context"),
            (self.kubeconfig.is_some(), "--kubeconfig"),
            (self.namespace.is_some(), "--namespace"),
            (self.request_timeout.is_some(), "--request-timeout"),
        ];
        given
            .into_iter()
            .filter_map(|(is_given, flag)| is_given.then_some(flag))
            .collect()
    }
}

impl Cluster {
    /// A client by the flags; nothing is asked yet.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, Failure> {
        // A second install is refused, and the first is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = config(connection).await.map_err(Failure::usage)?;
        let server = config.cluster_url.to_string();
        let namespace = connection.namespace.clone();
        Ok(Self {
            namespace: namespace.unwrap_or_else(|| config.default_namespace.clone()),
            client: Client::try_from(config).map_err(|error| {
                Failure::usage(format!(
                    "kubeconfig: {}; fix: mend the entry, or give another --context",
                    trouble::chain(&error)
                ))
            })?,
            server,
            patience: connection.request_timeout.unwrap_or(PATIENCE),
        })
    }

    /// Objects of one kind in a namespace, or in all.
    pub(crate) async fn list<K>(&self, namespace: Option<&str>, params: &ListParams) -> Result<Vec<K>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = self.scoped(namespace);
        let call = Call::new::<K>("list", namespace);
        let api = &api;
        self.pages(&call, params, |params| async move { api.list(&params).await })
            .await
    }

    /// The metadata of objects of one kind in a namespace, or in all.
    pub(crate) async fn list_metadata<K>(&self, namespace: Option<&str>) -> Result<Vec<PartialObjectMeta<K>>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let api: Api<K> = self.scoped(namespace);
        let call = Call::new::<K>("list", namespace);
        let api = &api;
        let ask = |params| async move { api.list_metadata(&params).await };
        self.pages(&call, &ListParams::default(), ask).await
    }

    async fn pages<T, F>(
        &self,
        call: &Call,
        params: &ListParams,
        ask: impl Fn(ListParams) -> F,
    ) -> Result<Vec<T>, Trouble>
    where
        T: Clone,
        F: Future<Output = kube::Result<ObjectList<T>>>,
    {
        let (mut objects, mut params) = (Vec::new(), params.clone().limit(PAGE));
        for _ in 0..MAX_PAGES {
            let page = self.within(call, ask(params.clone())).await?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(objects),
            }
        }
        Err(Trouble::other(
            call,
            "more objects than this command reads; give --namespace",
        ))
    }

    /// One object of a namespace, if it exists.
    pub(crate) async fn find<K>(&self, namespace: &str, name: &str) -> Result<Option<K>, Trouble>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let call = Call::new::<K>("get", Some(namespace));
        self.within(&call, self.api::<K>(namespace).get_opt(name)).await
    }

    /// One object of the cluster, if it exists.
    pub(crate) async fn find_wide<K>(&self, name: &str) -> Result<Option<K>, Trouble>
    where
        K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    {
        let call = Call::new::<K>("get", None);
        let api: Api<K> = Api::all(self.client.clone());
        self.within(&call, api.get_opt(name)).await
    }

    /// Every namespace there is.
    pub(crate) async fn namespaces(&self) -> Result<Vec<Namespace>, Trouble> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let (call, api) = (Call::new::<Namespace>("list", None), &api);
        let ask = |params| async move { api.list(&params).await };
        self.pages(&call, &ListParams::default(), ask).await
    }

    fn scoped<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Calls on objects of one kind in a namespace, to be bounded by [`Self::within`].
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The answer to a call, in time.
    pub(crate) async fn within<T>(
        &self,
        call: &Call,
        answer: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Trouble> {
        let answer = if self.patience.is_zero() {
            answer.await
        } else {
            let late = |_| Trouble::late(call, &self.server, self.patience);
            tokio::time::timeout(self.patience, answer).await.map_err(late)?
        };
        answer.map_err(|error| Trouble::new(call, &self.server, &error))
    }
}

async fn config(connection: &Connection) -> Result<Config, String> {
    let options = KubeConfigOptions {
        context: connection.context.clone(),
        ..KubeConfigOptions::default()
    };
    let Some(path) = &connection.kubeconfig else {
        let from_file = Config::from_kubeconfig(&options).await;
        return from_file.or_else(|error| {
            let no_choice = connection.context.is_none();
            let own = no_choice.then(Config::incluster).and_then(Result::ok);
            own.ok_or_else(|| {
                format!(
                    "kubeconfig: {}; fix: give --kubeconfig and --context",
                    trouble::chain(&error)
                )
            })
        });
    };
    let wrong = |error: &dyn std::error::Error, fix| {
        format!(
            "--kubeconfig: {}: {}; fix: {fix}",
            path.display(),
            trouble::chain(error)
        )
    };
    let file = Kubeconfig::read_from(path).map_err(|error| wrong(&error, "give a kubeconfig file"))?;
    let config = Config::from_custom_kubeconfig(file, &options).await;
    config.map_err(|error| wrong(&error, "give a --context that is in it"))
}

/// A duration as kubectl takes it: bare numbers are seconds.
fn patience(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds
        .or_else(|| duration::parse(text))
        .ok_or_else(|| "write a duration such as 5s or 1m, or 0 for no limit".into())
}

/// Runs a command that asks the cluster.
pub(crate) fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Problems(vec![format!("this process cannot wait for I/O: {error}")]))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_read_as_kubectl_reads_it() {
        for (text, seconds) in [
            ("0", Some(0)),
            ("5", Some(5)),
            ("5s", Some(5)),
            ("1m", Some(60)),
            ("1d", None),
            ("", None),
        ] {
            assert_eq!(patience(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn flags_of_the_command_win_over_those_before_it() {
        let flag = |name: &str| Connection {
            namespace: Some(name.into()),
            ..Connection::default()
        };
        assert_eq!(flag("a").or(&flag("b")).namespace.as_deref(), Some("a"));
        assert_eq!(Connection::default().or(&flag("b")).given(), ["--namespace"]);
    }
}
