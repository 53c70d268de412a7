//! What one sidecar should have been told, against what it was told. Pure: the latest wins, and what was skipped is lost.

use std::collections::BTreeSet;

use bytes::Bytes;
use llmcache_policy::push::down::Body;
use llmcache_policy::push::{Ban, Bans, Credentials, Down, Snapshot, Trust};

use crate::plan::Order;

/// What holds for one sidecar now.
#[derive(Clone, Debug)]
pub struct Desired {
    /// What it is to execute; `None` = not known yet, or nothing new.
    pub order: Option<Order>,
    /// What opens its store.
    pub credentials: Option<Credentials>,
    /// Bans of its namespace that may still matter.
    pub bans: Vec<Ban>,
    /// Names of those of them whose results somebody waits for.
    pub awaited: BTreeSet<String>,
    /// Certificates by which the operator is trusted.
    pub trust: Bytes,
}

/// What one stream was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    trust: Bytes,
    credentials: Option<Credentials>,
    revision: Option<String>,
    bans: Vec<String>,
    nonce: u64,
}

impl Told {
    /// The next message that is missing, most urgent first: keys before the policy that needs them.
    pub(super) fn next(&mut self, desired: &Desired) -> Option<Down> {
        let body = self
            .trust(desired)
            .or_else(|| self.credentials(desired))
            .or_else(|| self.snapshot(desired))
            .or_else(|| self.bans(desired))?;
        Some(Down { body: Some(body) })
    }

    /// Whether an answer to a snapshot answers the last one.
    pub(super) fn is_last(&self, nonce: u64) -> bool {
        self.nonce == nonce && nonce > 0
    }

    /// The last snapshot's number; 0 = none was sent.
    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    fn trust(&mut self, desired: &Desired) -> Option<Body> {
        if desired.trust.is_empty() || desired.trust == self.trust {
            return None;
        }
        self.trust = desired.trust.clone();
        Some(Body::Trust(Trust {
            ca: self.trust.to_vec(),
        }))
    }

    fn credentials(&mut self, desired: &Desired) -> Option<Body> {
        if desired.credentials.is_none() || desired.credentials == self.credentials {
            return None;
        }
        self.credentials.clone_from(&desired.credentials);
        self.credentials.clone().map(Body::Credentials)
    }

    fn snapshot(&mut self, desired: &Desired) -> Option<Body> {
        let (revision, json) = match desired.order.as_ref()? {
            Order::Run(program) => (program.revision.clone(), program.json.to_vec()),
            Order::PassThrough => (String::new(), Vec::new()),
            Order::Keep => return None,
        };
        if self.revision.as_ref() == Some(&revision) {
            return None;
        }
        self.nonce += 1;
        self.revision = Some(revision.clone());
        // Those that meant nothing to the policy before may mean something to this one.
        self.bans.clear();
        Some(Body::Snapshot(Snapshot {
            nonce: self.nonce,
            revision,
            json,
        }))
    }

    /// Each ban once per policy of a stream; the sidecar knows those that it has obeyed by their names.
    fn bans(&mut self, desired: &Desired) -> Option<Body> {
        let fresh = |ban: &&Ban| !self.bans.contains(&ban.id);
        let bans: Vec<Ban> = desired.bans.iter().filter(fresh).cloned().collect();
        self.bans = desired.bans.iter().map(|ban| ban.id.clone()).collect();
        (!bans.is_empty()).then_some(Body::Bans(Bans { bans }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desired(order: Option<Order>) -> Desired {
        Desired {
            order,
            credentials: None,
            bans: Vec::new(),
            awaited: BTreeSet::new(),
            trust: Bytes::new(),
        }
    }

    fn all(told: &mut Told, desired: &Desired) -> Vec<&'static str> {
        let next = || told.next(desired);
        let kinds = std::iter::from_fn(next).map(|down| match down.body.unwrap() {
            Body::Trust(_) => "trust",
            Body::Credentials(_) => "credentials",
            Body::Snapshot(snapshot) if snapshot.json.is_empty() => "no policy",
            Body::Snapshot(_) => "snapshot",
            Body::Bans(bans) => ["", "one ban", "two bans"][bans.bans.len()],
        });
        kinds.collect()
    }

    fn ban(id: &str) -> Ban {
        Ban {
            id: id.into(),
            ..Ban::default()
        }
    }

    #[test]
    fn keys_come_before_the_policy_and_everything_once() {
        let mut told = Told::default();
        let mut wanted = desired(Some(Order::PassThrough));
        wanted.trust = Bytes::from_static(b"pem");
        wanted.credentials = Some(Credentials {
            epoch: 1,
            ..Credentials::default()
        });
        wanted.bans = vec![ban("a"), ban("b")];
        assert_eq!(
            all(&mut told, &wanted),
            ["trust", "credentials", "no policy", "two bans"]
        );
        assert!(all(&mut told, &wanted).is_empty());
        wanted.bans = vec![ban("b"), ban("c")];
        assert_eq!(all(&mut told, &wanted), ["one ban"]);
        assert!(told.is_last(1) && !told.is_last(0) && !told.is_last(2));
    }

    #[test]
    fn bans_are_told_again_behind_another_policy() {
        let mut told = Told::default();
        let mut wanted = desired(None);
        wanted.bans = vec![ban("a")];
        assert_eq!(all(&mut told, &wanted), ["one ban"]);
        wanted.order = Some(Order::PassThrough);
        assert_eq!(all(&mut told, &wanted), ["no policy", "one ban"]);
    }

    #[test]
    fn nothing_is_said_of_a_policy_that_is_not_known_or_must_stay() {
        let mut told = Told::default();
        assert!(all(&mut told, &desired(None)).is_empty());
        assert!(all(&mut told, &desired(Some(Order::Keep))).is_empty());
        assert_eq!(all(&mut told, &desired(Some(Order::PassThrough))), ["no policy"]);
    }
}
