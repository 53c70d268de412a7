//! One object followed by its name, and calls that end: the client has no time limit of its own.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::Resource;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tracing::warn;

/// Longest that one call may take.
const CALL: Duration = Duration::from_secs(10);

/// A watch that never ends ended; the process must start again.
#[derive(Debug, thiserror::Error)]
#[error("the watch of one {0} ended")]
pub struct WatchEnded(pub(crate) &'static str);

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server said no.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// The API server said nothing.
    #[error("the API server did not answer within {} s", CALL.as_secs())]
    TimeOut(#[from] tokio::time::error::Elapsed),
}

/// The object whenever it changes, `None` when there is none; nothing while the API server is away.
pub(crate) fn follow<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let name = name.to_owned();
    watcher::watch_object(api, &name)
        .default_backoff()
        .filter_map(move |event| {
            let event = event.inspect_err(|error| warn!(%error, name, "a watch failed; trying again"));
            std::future::ready(event.ok())
        })
}

/// What a call brings, if it brings it in time.
pub(crate) async fn within<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    Ok(timeout(CALL, call).await??)
}
