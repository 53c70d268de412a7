//! The secret of this install, from which every namespace's key is derived: made once by the leader, read by all.
//!
//! It is never written over: whoever loses it loses every entry of the shared stores, so one that cannot be read is a
//! fault for people to mend.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use llmcache_policy::NamespaceKey;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};
use zeroize::Zeroizing;

use crate::follow::{WatchEnded, follow, within};
use crate::lease::Leadership;

#[cfg(test)]
mod tests;

/// Bytes of the secret.
pub const LENGTH: usize = 32;
const KEY: &str = "secret";
const PREVIOUS: &str = "previous";
const LOOK: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(5);

/// The secret of this install, and the one before it while entries of both may be read.
#[derive(Clone, PartialEq, Eq)]
pub struct InstallSecret {
    /// What keys are derived from.
    pub current: Zeroizing<[u8; LENGTH]>,
    /// What they were derived from before; answers and bans under those keys are still read.
    pub previous: Option<Zeroizing<[u8; LENGTH]>>,
}

/// The keys of one namespace.
#[derive(Clone, PartialEq, Eq)]
pub struct NamespaceKeys {
    /// The key in force.
    pub current: NamespaceKey,
    /// The key before it.
    pub previous: Option<NamespaceKey>,
}

/// What is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// There is none, or nothing was heard yet.
    #[default]
    Absent,
    /// It is there and in use.
    Ready(Arc<InstallSecret>),
    /// It is there and no use; nothing is derived until somebody mends it.
    Unreadable(Unreadable),
}

/// Why a Secret's content is no install secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "key {key:?} of the Secret must hold {LENGTH} bytes, not {length}; restore it, or delete the Secret to start anew"
)]
pub struct Unreadable {
    key: &'static str,
    length: usize,
}

impl std::fmt::Debug for InstallSecret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("InstallSecret(redacted)")
    }
}

impl std::fmt::Debug for NamespaceKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("NamespaceKeys(redacted)")
    }
}

impl State {
    /// The secret in use, if there is one.
    pub fn ready(&self) -> Option<&Arc<InstallSecret>> {
        match self {
            Self::Ready(secret) => Some(secret),
            Self::Absent | Self::Unreadable(_) => None,
        }
    }
}

impl InstallSecret {
    /// A new one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut current = Zeroizing::new([0; LENGTH]);
        getrandom::fill(&mut *current)?;
        Ok(Self {
            current,
            previous: None,
        })
    }

    /// Reads a Secret's data.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, Unreadable> {
        let bytes = |key: &'static str| -> Result<Zeroizing<[u8; LENGTH]>, Unreadable> {
            let bytes = data.get(key).map(|value| value.0.as_slice()).unwrap_or_default();
            let bytes = <[u8; LENGTH]>::try_from(bytes);
            bytes.map(Zeroizing::new).map_err(|_| Unreadable {
                key,
                length: data.get(key).map_or(0, |value| value.0.len()),
            })
        };
        Ok(Self {
            current: bytes(KEY)?,
            previous: data.contains_key(PREVIOUS).then(|| bytes(PREVIOUS)).transpose()?,
        })
    }

    /// The keys of a namespace by its uid.
    pub fn keys(&self, uid: &str) -> Option<NamespaceKeys> {
        let previous = self.previous.as_ref();
        Some(NamespaceKeys {
            current: NamespaceKey::derive(&*self.current, uid).ok()?,
            previous: previous.and_then(|secret| NamespaceKey::derive(&**secret, uid).ok()),
        })
    }

    fn secret(&self, name: &str) -> Secret {
        let value = |bytes: &Zeroizing<[u8; LENGTH]>| ByteString(bytes.to_vec());
        let mut data = BTreeMap::from([(KEY.to_owned(), value(&self.current))]);
        data.extend(self.previous.iter().map(|it| (PREVIOUS.to_owned(), value(it))));
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(data),
            ..Secret::default()
        }
    }
}

/// Follows the Secret of this name and, in the leader, makes it when there is none; ends only when the watch does.
pub async fn run(
    api: Api<Secret>,
    name: &str,
    leadership: Leadership,
    state: watch::Sender<State>,
) -> Result<Infallible, WatchEnded> {
    let mut events = pin!(follow(api.clone(), name));
    let mut turns = leadership.subscribe();
    let mut is_missing = false;
    let mut look = Instant::now() + LOOK;
    loop {
        tokio::select! {
            event = events.next() => {
                let secret = event.ok_or(WatchEnded("Secret"))?;
                is_missing = secret.is_none();
                if let Some(secret) = secret {
                    take(name, &secret, &state);
                }
            }
            _ = turns.changed() => {}
            () = sleep_until(look) => {}
        }
        look = Instant::now() + LOOK;
        if is_missing && leadership.is_leader() {
            is_missing = !make(&api, name, &state).await;
            look = Instant::now() + if is_missing { RETRY } else { LOOK };
        }
    }
}

/// What is in use stays in use when its Secret is torn.
fn take(name: &str, secret: &Secret, state: &watch::Sender<State>) {
    let news = match InstallSecret::read(secret.data.as_ref().unwrap_or(&BTreeMap::new())) {
        Ok(read) => State::Ready(Arc::new(read)),
        Err(unreadable) => {
            error!(%unreadable, name, "the install secret cannot be used");
            State::Unreadable(unreadable)
        }
    };
    state.send_if_modified(|current| {
        let is_lesser = matches!((&*current, &news), (State::Ready(_), State::Unreadable(_)));
        let is_news = !is_lesser && *current != news;
        if is_news {
            *current = news;
        }
        is_news
    });
}

/// Creates it, from what is in use if there is any; a replica that was quicker wins, and the watch brings what it made.
async fn make(api: &Api<Secret>, name: &str, state: &watch::Sender<State>) -> bool {
    let known = state.borrow().ready().map(|known| InstallSecret::clone(known));
    let made = match known.map_or_else(InstallSecret::generate, Ok) {
        Ok(made) => made,
        Err(error) => {
            error!(%error, "the system gives no random bytes");
            return false;
        }
    };
    match within(api.create(&PostParams::default(), &made.secret(name))).await {
        Ok(written) => {
            info!(name, "the install secret was made");
            take(name, &written, state);
            true
        }
        Err(error) => {
            warn!(%error, name, "the install secret could not be made; trying again");
            false
        }
    }
}
