//! A snapshot as it was offered: a policy, or explicitly none.

use llmcache_policy::{Revision, Snapshot, push};

use crate::in_force::InForce;

/// What an operator, or the last-good file, wants to be in force.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    /// Content hash; empty = no policy.
    pub revision: String,
    /// As it was written, fields included that this version does not know; empty = no policy.
    pub json: String,
    policy: Option<Box<Snapshot>>,
}

impl Offer {
    /// Reads a message, or says what is wrong with it.
    pub(super) fn read(message: push::Snapshot) -> Result<Self, String> {
        let push::Snapshot { revision, json, .. } = message;
        let json = String::from_utf8(json).map_err(|_| "the snapshot is no UTF-8".to_owned())?;
        Self::new(revision, json)
    }

    /// A policy by its JSON; empty = no policy.
    pub(super) fn new(revision: String, json: String) -> Result<Self, String> {
        if revision.is_empty() || json.is_empty() {
            return Ok(Self {
                revision: String::new(),
                json: String::new(),
                policy: None,
            });
        }
        let policy: Snapshot = serde_json::from_str(&json).map_err(|error| {
            format!("the snapshot cannot be read: {error}; are operator and sidecar too far apart?")
        })?;
        if policy.is_pass_through() {
            return Err("the snapshot's policy has no name".into());
        }
        Ok(Self {
            revision,
            json,
            policy: Some(Box::new(policy)),
        })
    }

    /// Uid and generation of the policy; empty and 0 without one.
    pub(super) fn place(&self) -> (&str, i64) {
        self.policy.as_ref().map_or(("", 0), |policy| {
            (policy.identity.uid.as_str(), policy.identity.generation)
        })
    }

    /// Puts it in force; gives what the memory limit lowered.
    pub(super) fn apply(&self, in_force: &InForce) -> Result<Vec<String>, String> {
        match &self.policy {
            None => in_force.apply_none(),
            Some(policy) => in_force.apply(Snapshot::clone(policy), Revision(self.revision.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_left_out_and_what_cannot_be_read_is_said() {
        let mut snapshot = Snapshot::pass_through();
        snapshot.identity.name = "a".into();
        snapshot.identity.generation = 3;
        let mut json = serde_json::to_value(&snapshot).unwrap();
        json["later"] = serde_json::json!({"than": "this"});
        json["scope"]["other"] = 1.into();
        let offer = Offer::new("r1".into(), json.to_string()).unwrap();
        assert_eq!(offer.place(), ("", 3));
        assert!(offer.json.contains("later"));
        assert_eq!(Offer::new(String::new(), "{}".into()).unwrap().place(), ("", 0));
        let problem = Offer::new("r".into(), "{}".into()).unwrap_err();
        assert!(problem.contains("identity"), "{problem}");
    }
}
