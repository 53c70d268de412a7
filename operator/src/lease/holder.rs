//! Who holds the lease, in a form by which the followers find the leader.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A replica: its pod and the address of the pod; written `POD_IP`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    /// Name of the pod.
    pub pod: String,
    /// Address at which the other replicas reach it.
    pub address: IpAddr,
}

/// A holder identity that no replica of ours wrote.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("holderIdentity {0:?} is not of the form POD_IP; is another program using this Lease?")]
pub struct InvalidHolder(String);

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}_{}", self.pod, self.address)
    }
}

impl FromStr for Holder {
    type Err = InvalidHolder;

    fn from_str(text: &str) -> Result<Self, InvalidHolder> {
        let parts = text.rsplit_once('_').filter(|(pod, _)| !pod.is_empty());
        let holder = parts.and_then(|(pod, address)| {
            let address = address.parse().ok()?;
            Some(Self {
                pod: pod.to_owned(),
                address,
            })
        });
        holder.ok_or_else(|| InvalidHolder(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_reads_back_as_written() {
        for text in ["llmcache-operator-7d-x_10.1.2.3", "a_fd00::1"] {
            assert_eq!(text.parse::<Holder>().unwrap().to_string(), text);
        }
        for text in ["", "a", "_10.0.0.1", "a_b", "a_"] {
            assert!(text.parse::<Holder>().is_err(), "{text:?} is no holder");
        }
    }
}
