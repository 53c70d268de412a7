//! A follower tells the leader what its own sidecars said: the whole state, on every change and each second.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use hyper_util::rt::TokioIo;
use llmcache_policy::names;
use llmcache_policy::push::push_client::PushClient;
use llmcache_policy::push::{BanResult, Sighting, Sightings};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::sidecars::Sidecars;

/// Time between two states while nothing changes; a silent replica is forgotten after five.
const BEAT: Duration = Duration::from_secs(1);
/// Shortest time between two states while much changes.
const PAUSE: Duration = Duration::from_millis(100);
/// Time before another try.
const RETRY: Duration = Duration::from_millis(500);
/// Bytes of results of bans in one state; a state over 4 MiB is not read.
const RESULTS: usize = 2 << 20;
/// Bytes of a result besides its texts, at most.
const OVERHEAD: usize = 32;
const PATIENCE: Duration = Duration::from_secs(5);

type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Shares for as long as the process lives. `leader` is the address of the leader's pod, none while this replica leads or
/// nobody does; `trust` gives the certificates to trust, `server_name` is what they are for.
pub async fn share(
    replica: String,
    sidecars: Sidecars,
    mut leader: watch::Receiver<Option<String>>,
    trust: watch::Receiver<Arc<rustls::ClientConfig>>,
    server_name: ServerName<'static>,
) {
    loop {
        let Some(address) = leader.borrow_and_update().clone() else {
            if leader.changed().await.is_err() {
                return;
            }
            continue;
        };
        let config = trust.borrow().clone();
        tokio::select! {
            told = tell(&replica, &sidecars, &address, config, server_name.clone()) => {
                if let Err(error) = told {
                    tracing::debug!(%error, address, "cannot share with the leader");
                }
                tokio::time::sleep(RETRY).await;
            }
            changed = leader.changed() => if changed.is_err() { return },
        }
    }
}

async fn tell(
    replica: &str,
    sidecars: &Sidecars,
    address: &str,
    config: Arc<rustls::ClientConfig>,
    server_name: ServerName<'static>,
) -> Result<(), Problem> {
    let channel = tokio::time::timeout(PATIENCE, connect(address, config, server_name)).await??;
    let token = std::fs::read_to_string(format!("{}/token", names::TOKEN_FOLDER))?;
    let mut request = Request::new(states(replica.to_owned(), sidecars.clone()));
    let bearer = format!("Bearer {}", token.trim()).parse()?;
    request.metadata_mut().insert("authorization", bearer);
    PushClient::new(channel).share(request).await?;
    Ok(())
}

fn states(replica: String, sidecars: Sidecars) -> impl Stream<Item = Sightings> + Send {
    let changed = sidecars.subscribe();
    stream::unfold((changed, true), move |(mut changed, is_first)| {
        let (replica, sidecars) = (replica.clone(), sidecars.clone());
        async move {
            if !is_first {
                tokio::time::sleep(PAUSE).await;
                // Either something changed, or it is time to be heard again.
                let _ = tokio::time::timeout(BEAT, changed.changed()).await;
            }
            changed.borrow_and_update();
            let mut sightings = sidecars.own();
            fit(&mut sightings);
            Some((Sightings { replica, sightings }, (changed, false)))
        }
    })
}

/// Cuts the results of bans to what may be told at once, the oldest first: once those are complete, others follow.
fn fit(sightings: &mut [Sighting]) {
    let room = RESULTS / sightings.len().max(1);
    for sighting in sightings {
        let mut taken = 0;
        let size = |result: &BanResult| result.id.len() + result.error.len() + OVERHEAD;
        sighting.ban_results.retain(|result| {
            let is_first = taken == 0;
            taken += size(result);
            is_first || taken <= room
        });
    }
}

async fn connect(
    address: &str,
    config: Arc<rustls::ClientConfig>,
    server_name: ServerName<'static>,
) -> Result<Channel, Problem> {
    let target = format!("{address}:{}", names::PUSH_PORT);
    let endpoint = Endpoint::from_shared(format!("http://{target}"))?
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true);
    let connector = TlsConnector::from(config);
    let channel = endpoint.connect_with_connector(service_fn(move |_| {
        let (connector, target, name) = (connector.clone(), target.clone(), server_name.clone());
        async move {
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        }
    }));
    Ok(channel.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_one_message_and_keeps_the_oldest_results() {
        let result = |at: usize| BanResult {
            id: format!("{at:036}"),
            ..BanResult::default()
        };
        let sighting = |pod: usize| Sighting {
            pod_uid: pod.to_string(),
            ban_results: (0..256).map(result).collect(),
            ..Sighting::default()
        };
        let mut few: Vec<Sighting> = (0..10).map(sighting).collect();
        fit(&mut few);
        assert!(few.iter().all(|sighting| sighting.ban_results.len() == 256));
        let mut many: Vec<Sighting> = (0..2_000).map(sighting).collect();
        fit(&mut many);
        let number: usize = many.iter().map(|sighting| sighting.ban_results.len()).sum();
        assert!(number * (36 + OVERHEAD) <= RESULTS, "{number}");
        assert!(many.iter().all(|sighting| sighting.ban_results[0] == result(0)));
    }
}
