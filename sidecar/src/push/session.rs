//! One connection to the operator, from hello to its end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llmcache_cache::redis::Server;
use llmcache_policy::NamespaceKey;
use llmcache_policy::push::push_client::PushClient;
use llmcache_policy::push::{self, Ack, BanResult, Down, Hello, Nack, PROTOCOL, Report, Up, down, up};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Streaming};

use super::bans::Bans;
use super::guard::Verdict;
use super::offer::Offer;
use super::report;
use super::state::{LastGood, Trust};
use super::{Push, connect};
use crate::config::qdrant;
use crate::in_force::InForce;
use crate::pipeline::Stores;

/// Messages up that wait for the operator to read them.
const QUEUE: usize = 64;
/// An operator that reads nothing for so long is not well.
const SLOW: Duration = Duration::from_secs(30);
/// Time from the token's sight to the stream's beginning.
const GREET: Duration = Duration::from_secs(10);
/// States are looked at so often, and a lower generation is reconsidered.
const TICK: Duration = Duration::from_secs(1);
/// Reports of no news are so far apart.
const REPORT: Duration = Duration::from_secs(30);
/// Largest message down: a policy with the certificates of both upstreams, several times over.
const MAX_MESSAGE: usize = 2 << 20;

/// Why a connection is over.
#[derive(Debug)]
pub(super) enum End {
    /// The operator ended it: it is going, or wants its sidecars spread anew.
    Clean,
    /// Anything else.
    Failed(String),
}

pub(super) struct Session<'a> {
    push: &'a Arc<Push>,
    down: Streaming<Down>,
    up: mpsc::Sender<Up>,
    bans: Bans,
    /// The operator's last word is in force.
    is_confirmed: bool,
    /// A lower generation that waits for its minute.
    refused: Option<(u64, Offer)>,
    reported: Option<(Report, Instant)>,
}

impl<'a> Session<'a> {
    /// Connects and says hello, or says why that failed.
    pub(super) async fn open(push: &'a Arc<Push>) -> Result<Self, String> {
        let path = &push.operator.token;
        let token = std::fs::read_to_string(path);
        let token = token.map_err(|error| {
            format!(
                "no token in {}: {error}; the pod needs the volume that injection adds",
                path.display()
            )
        })?;
        let bearer = format!("Bearer {}", token.trim());
        let bearer = bearer
            .parse()
            .map_err(|_| format!("{} holds no token", path.display()))?;
        let channel = connect::dial(&push.operator, &push.ca()).await?;
        let mut client = PushClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let (up, ups) = mpsc::channel(QUEUE);
        let hello = up.try_send(message(up::Body::Hello(hello(push))));
        hello.map_err(|error| error.to_string())?;
        let mut request = Request::new(ReceiverStream::new(ups));
        request.metadata_mut().insert("authorization", bearer);
        let stream = match timeout(GREET, client.connect(request)).await {
            Ok(Ok(stream)) => stream.into_inner(),
            Ok(Err(status)) => return Err(said(&status)),
            Err(_) => return Err("the operator does not greet".into()),
        };
        let in_force = push.in_force.clone();
        Ok(Self {
            push,
            down: stream,
            up,
            bans: Bans::new(move |ban| obey(in_force.clone(), ban)),
            is_confirmed: false,
            refused: None,
            reported: None,
        })
    }

    /// Listens and answers until the connection ends.
    pub(super) async fn run(mut self) -> End {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                message = self.down.message() => match message {
                    Ok(Some(Down { body })) => self.hear(body).await,
                    Ok(None) => return End::Clean,
                    // So a replica says that it ends, or that the connection is old enough.
                    Err(status) if status.code() == Code::Unavailable => return End::Clean,
                    Err(status) => return End::Failed(said(&status)),
                },
                Some(result) = self.bans.next() => self.say(up::Body::BanResult(result)).await,
                _ = tick.tick() => self.tick().await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn hear(&mut self, body: Option<down::Body>) -> Result<(), End> {
        match body {
            Some(down::Body::Snapshot(snapshot)) => self.offered(snapshot).await?,
            Some(down::Body::Credentials(credentials)) => self.enter(credentials).await,
            Some(down::Body::Bans(bans)) => {
                for ban in bans.bans {
                    if let Some(refused) = self.bans.take(ban) {
                        self.say(up::Body::BanResult(refused)).await?;
                    }
                }
            }
            Some(down::Body::Trust(trust)) => self.trust(&trust),
            // Of a later version.
            None => {}
        }
        Ok(())
    }

    async fn offered(&mut self, snapshot: push::Snapshot) -> Result<(), End> {
        let (nonce, revision) = (snapshot.nonce, snapshot.revision.clone());
        self.refused = None;
        let offer = match Offer::read(snapshot) {
            Ok(offer) => offer,
            Err(reason) => return self.refuse(nonce, revision, reason, false).await,
        };
        self.judge(nonce, offer).await
    }

    async fn judge(&mut self, nonce: u64, offer: Offer) -> Result<(), End> {
        let (uid, generation) = offer.place();
        let verdict = self.push.guard.lock().judge(uid, generation, Instant::now());
        match verdict {
            Verdict::Older => {
                let revision = offer.revision.clone();
                let reason = format!("generation {generation} is older than one that was in force");
                self.refused = Some((nonce, offer));
                self.refuse(nonce, revision, reason, true).await
            }
            verdict => self.execute(verdict, nonce, offer).await,
        }
    }

    async fn execute(&mut self, verdict: Verdict, nonce: u64, offer: Offer) -> Result<(), End> {
        if verdict == Verdict::Regress {
            let (_, generation) = offer.place();
            tracing::warn!(generation, "an older policy is put in force: nothing newer was offered");
            self.push.in_force.process().metrics.regression();
        }
        self.put_in_force(nonce, offer).await
    }

    async fn put_in_force(&mut self, nonce: u64, offer: Offer) -> Result<(), End> {
        let (push, revision) = (self.push.clone(), offer.revision.clone());
        // It may read certificates and write a file: not on a thread that serves requests.
        let applied = tokio::task::spawn_blocking(move || {
            let clamped = offer.apply(&push.in_force)?;
            let (uid, generation) = offer.place();
            let generations = {
                let mut guard = push.guard.lock();
                guard.applied(uid, generation);
                guard.generations()
            };
            push.folder.keep_last_good(&LastGood {
                revision: offer.revision,
                json: offer.json,
                generations,
            });
            Ok(clamped)
        });
        let applied = applied
            .await
            .unwrap_or_else(|_| Err("putting it in force broke down".into()));
        match applied {
            Ok(clamped) => {
                self.is_confirmed = true;
                self.push.in_force.confirm();
                let ack = Ack {
                    nonce,
                    revision,
                    clamped,
                };
                self.say(up::Body::Ack(ack)).await?;
                self.report().await
            }
            Err(reason) => self.refuse(nonce, revision, reason, false).await,
        }
    }

    async fn refuse(&mut self, nonce: u64, revision: String, reason: String, is_older: bool) -> Result<(), End> {
        self.is_confirmed = false;
        self.push.in_force.process().metrics.rejection();
        tracing::warn!(revision, reason, "a snapshot is refused; what is in force stays");
        let nack = Nack {
            nonce,
            revision,
            reason,
            is_older,
        };
        self.say(up::Body::Nack(nack)).await
    }

    async fn enter(&mut self, credentials: push::Credentials) {
        let stores = match stores(&credentials) {
            Ok(stores) => stores,
            Err(problem) => {
                tracing::error!(problem, "credentials cannot be used; the stores stay as they are");
                return self.push.in_force.note("credentials", Some(problem));
            }
        };
        let in_force = self.push.in_force.clone();
        let entered = tokio::task::spawn_blocking(move || in_force.enter(stores)).await;
        match entered {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the stores stay as they are"),
            Err(error) => tracing::error!(%error, "the stores stay as they are"),
        }
    }

    fn trust(&self, trust: &push::Trust) {
        let trust = match Trust::read(&trust.ca) {
            Ok(trust) => trust,
            Err(problem) => return tracing::error!(problem, "new certificates are refused"),
        };
        let mut known = self.push.trust.lock();
        if known.as_ref() != Some(&trust) {
            tracing::info!("the operator is trusted by other certificates from now on");
            self.push.folder.keep_trust(&trust);
            *known = Some(trust);
        }
    }

    async fn tick(&mut self) -> Result<(), End> {
        self.bans.retry();
        if self.is_confirmed {
            self.push.in_force.confirm();
        }
        if let Some((nonce, offer)) = &self.refused {
            let (uid, generation) = offer.place();
            let verdict = self.push.guard.lock().judge(uid, generation, Instant::now());
            if verdict != Verdict::Older {
                let (nonce, offer) = (*nonce, offer.clone());
                self.refused = None;
                self.execute(verdict, nonce, offer).await?;
            }
        }
        self.report().await
    }

    /// Reports a changed state at once, and else now and then.
    async fn report(&mut self) -> Result<(), End> {
        let (requests, window) = self.push.in_force.process().account.window();
        let report = report::report(&self.push.in_force.pipeline(), requests, window);
        let is_due = self
            .reported
            .as_ref()
            .is_none_or(|(before, at)| report::is_news(before, &report) || at.elapsed() >= REPORT);
        if !is_due {
            return Ok(());
        }
        self.reported = Some((report.clone(), Instant::now()));
        self.say(up::Body::Report(report)).await
    }

    async fn say(&self, body: up::Body) -> Result<(), End> {
        match timeout(SLOW, self.up.send(message(body))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Failed("the operator hung up".into())),
            Err(_) => Err(End::Failed("the operator does not read".into())),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("the operator ended the connection"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

async fn obey(in_force: Arc<InForce>, ban: push::Ban) -> BanResult {
    in_force.told().obey(&in_force.pipeline(), ban).await
}

fn message(body: up::Body) -> Up {
    Up { body: Some(body) }
}

fn hello(push: &Push) -> Hello {
    let (revision, identity) = push.in_force.standing();
    Hello {
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        revision: revision.0,
        policy_uid: identity.uid,
        generation: identity.generation,
    }
}

/// A status without its envelope.
fn said(status: &tonic::Status) -> String {
    let message = status.message();
    let cause = std::error::Error::source(status).map(connect::cause);
    match cause {
        Some(cause) => format!("{:?}: {cause}", status.code()),
        None => format!("{:?}: {message}", status.code()),
    }
}

/// Errors never repeat what was received.
fn stores(credentials: &push::Credentials) -> Result<Stores, String> {
    let key = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).ok().map(NamespaceKey::new);
    let previous = &credentials.previous_namespace_key;
    let redis = match &credentials.redis {
        None => None,
        Some(redis) => {
            let server = Server::parse(&redis.url).map_err(|error| format!("the shared store's address: {error}"))?;
            if redis.ca.is_empty() {
                Some(server)
            } else {
                let trusting = server.with_ca(&redis.ca);
                Some(trusting.map_err(|error| format!("the shared store's certificates: {error}"))?)
            }
        }
    };
    let qdrant = match &credentials.qdrant {
        None => None,
        Some(qdrant) => {
            let server: qdrant::Server = qdrant
                .url
                .parse()
                .map_err(|error| format!("the shared index's address: {error}"))?;
            Some(match qdrant.api_key.as_str() {
                "" => server,
                key => server.with_api_key(key),
            })
        }
    };
    Ok(Stores {
        key: key(&credentials.namespace_key).ok_or("the namespace's key has not 32 bytes")?,
        previous_key: if previous.is_empty() {
            None
        } else {
            Some(key(previous).ok_or("the previous key has not 32 bytes")?)
        },
        redis,
        qdrant,
    })
}
