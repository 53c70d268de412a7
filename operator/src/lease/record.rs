//! What a Lease says, apart from the object that carries it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

/// The content of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; `None` after a release.
    pub holder: Option<String>,
    /// How long others wait after the last change that they saw.
    pub duration: Duration,
    /// When the holder took it, by the holder's clock; for people only.
    pub acquired: Option<Timestamp>,
    /// When the holder last renewed it, by the holder's clock; a change of it is what others watch for.
    pub renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: i32,
}

/// A record with the `resourceVersion` under which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// What the Lease says.
    pub record: Record,
    /// `metadata.resourceVersion`; a write that names it fails with 409 when somebody wrote in between.
    pub version: String,
}

impl Record {
    fn of(spec: &LeaseSpec) -> Self {
        let seconds = spec.lease_duration_seconds.unwrap_or_default();
        Self {
            holder: spec.holder_identity.clone().filter(|holder| !holder.is_empty()),
            duration: Duration::from_secs(u64::try_from(seconds).unwrap_or_default()),
            acquired: spec.acquire_time.as_ref().map(|time| time.0),
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    /// Writes the record over what a Lease says, and leaves the rest of the object alone.
    pub(super) fn write_to(&self, lease: &mut Lease) {
        let spec = lease.spec.get_or_insert_default();
        // The API server accepts no duration below one second.
        let seconds = i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX).max(1);
        spec.holder_identity = Some(self.holder.clone().unwrap_or_default());
        spec.lease_duration_seconds = Some(seconds);
        spec.acquire_time = self.acquired.map(MicroTime);
        spec.renew_time = self.renewed.map(MicroTime);
        spec.lease_transitions = Some(self.transitions);
    }
}

impl From<&Lease> for Versioned {
    fn from(lease: &Lease) -> Self {
        Self {
            record: Record::of(&lease.spec.clone().unwrap_or_default()),
            version: lease.metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}
