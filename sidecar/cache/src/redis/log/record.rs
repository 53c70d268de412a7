//! The members of a log, sealed so that only a holder of the namespace's key can make one, and only for its place.

use serde::{Deserialize, Serialize};

use crate::bans::{Live, Stamp};
use crate::seal::NamespaceKey;

const IDENTITY: &[u8] = b"identity";

/// The first member: which log this is.
#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    log: u64,
}

/// A ban at its place.
pub(super) struct Record<'a> {
    stamp: Stamp,
    live: &'a Live,
}

impl Identity {
    pub(super) fn new(log: u64) -> Self {
        Self { log }
    }

    pub(super) fn seal(&self, key: &NamespaceKey, name: &str) -> Option<Vec<u8>> {
        key.seal(name.as_bytes(), IDENTITY, &serde_json::to_vec(self).ok()?)
            .ok()
    }

    /// The identity in a first member.
    pub(super) fn open(key: &NamespaceKey, name: &str, member: &[u8]) -> Option<u64> {
        let plain = key.open(name.as_bytes(), IDENTITY, member)?;
        serde_json::from_slice::<Self>(&plain).ok().map(|identity| identity.log)
    }
}

impl<'a> Record<'a> {
    pub(super) fn new(stamp: Stamp, live: &'a Live) -> Self {
        Self { stamp, live }
    }

    pub(super) fn seal(&self, key: &NamespaceKey, name: &str) -> Option<Vec<u8>> {
        let plain = serde_json::to_vec(self.live).ok()?;
        key.seal(name.as_bytes(), &place(self.stamp), &plain).ok()
    }

    /// The ban in a member that stands at this place of this log.
    pub(super) fn open(key: &NamespaceKey, name: &str, stamp: Stamp, member: &[u8]) -> Option<Live> {
        let plain = key.open(name.as_bytes(), &place(stamp), member)?;
        serde_json::from_slice(&plain).ok()
    }
}

fn place(stamp: Stamp) -> Vec<u8> {
    [stamp.log.to_be_bytes(), stamp.epoch.to_be_bytes()].concat()
}
