//! What outlives the process: the last good policy, and the certificates that the operator is trusted by. No secrets.
//!
//! A file is written beside the old one and moved over it, behind a line with its version and checksum: one that is
//! torn, foreign or of another version is no file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::connect;
use super::offer::Offer;

/// First word of every file; the number is the version of the format.
const MAGIC: &str = "llmcache-state-1";
const LAST_GOOD: &str = "last-good";
const TRUST: &str = "trust";
/// Larger than any policy; the folder has 4 MiB.
const MAX_BYTES: u64 = 2 << 20;

/// The folder; a process without one, or with one that cannot be written, has only its own memory.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

/// What was in force, and what is known of generations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastGood {
    /// Empty = no policy.
    pub revision: String,
    /// Empty = no policy.
    pub json: String,
    /// By the policy's uid.
    #[serde(default)]
    pub generations: Vec<(String, i64)>,
}

/// Certificates of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    /// PEM.
    pub pem: String,
}

impl LastGood {
    /// What was in force, to be put in force again.
    pub(super) fn offer(&self) -> Result<Offer, String> {
        Offer::new(self.revision.clone(), self.json.clone())
    }
}

impl Trust {
    /// Certificates that can be used, or what is wrong with them.
    pub(super) fn read(pem: &[u8]) -> Result<Self, String> {
        let pem = String::from_utf8(pem.to_vec()).map_err(|_| "the operator's certificates are no PEM".to_owned())?;
        connect::roots(&pem)?;
        Ok(Self { pem })
    }
}

impl Folder {
    /// The folder at a path.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The policy that was last in force; none, with a line in the log, when it cannot be read.
    pub(super) fn last_good(&self) -> Option<LastGood> {
        let body = self.read(LAST_GOOD)?;
        let read = serde_json::from_str(&body);
        read.inspect_err(|error| tracing::warn!(%error, "the last good policy is of another version; it is ignored"))
            .ok()
    }

    /// Certificates received after the pod was made.
    pub(super) fn trust(&self) -> Option<Trust> {
        let pem = self.read(TRUST)?;
        let read = Trust::read(pem.as_bytes());
        read.inspect_err(|problem| tracing::warn!(problem, "kept certificates are ignored"))
            .ok()
    }

    pub(super) fn keep_last_good(&self, last: &LastGood) {
        match serde_json::to_string(last) {
            Ok(body) => self.write(LAST_GOOD, &body),
            Err(error) => tracing::error!(%error, "the last good policy cannot be written"),
        }
    }

    pub(super) fn keep_trust(&self, trust: &Trust) {
        self.write(TRUST, &trust.pem);
    }

    fn read(&self, name: &str) -> Option<String> {
        let path = self.0.join(name);
        let size = std::fs::metadata(&path).ok()?.len();
        if size > MAX_BYTES {
            tracing::warn!(file = %path.display(), size, "is larger than any of ours; it is ignored");
            return None;
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot be read; it is ignored");
                return None;
            }
        };
        let body = text.split_once('\n').filter(|(head, body)| *head == head_of(body));
        if body.is_none() {
            tracing::warn!(file = %path.display(), "is torn, foreign or of another version; it is ignored");
        }
        body.map(|(_, body)| body.to_owned())
    }

    fn write(&self, name: &str, body: &str) {
        let path = self.0.join(name);
        let beside = self.0.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            std::fs::write(&beside, format!("{}\n{body}", head_of(body)))?;
            std::fs::rename(&beside, &path)
        };
        if let Err(error) = write() {
            let folder: &Path = &self.0;
            tracing::warn!(folder = %folder.display(), %error, "cannot be written; a restart without operator would pass through");
        }
    }
}

fn head_of(body: &str) -> String {
    format!("{MAGIC} {}", hex::encode(Sha256::digest(body.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last() -> LastGood {
        LastGood {
            revision: "9f2c31".into(),
            json: "{\"a\":\n1}".into(),
            generations: vec![("uid".into(), 7)],
        }
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::new(temporary.path().into());
        assert_eq!(folder.last_good(), None);
        folder.keep_last_good(&last());
        assert_eq!(folder.last_good(), Some(last()));
        let file = temporary.path().join(LAST_GOOD);
        let whole = std::fs::read_to_string(&file).unwrap();
        let torn = &whole[..whole.len() - 1];
        let foreign = whole.replacen("state-1", "state-2", 1);
        for other in ["", "{}", torn, &foreign, &whole.replace("9f2c31", "9f2c32")] {
            std::fs::write(&file, other).unwrap();
            assert_eq!(folder.last_good(), None, "{other}");
        }
        std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
        assert_eq!(folder.last_good(), None);
    }

    #[test]
    fn a_folder_that_is_not_there_costs_the_file_alone() {
        let folder = Folder::new("/nowhere/at/all".into());
        folder.keep_last_good(&last());
        assert_eq!(folder.last_good(), None);
        assert_eq!(folder.trust(), None);
    }

    #[test]
    fn only_certificates_are_trusted() {
        assert!(Trust::read(b"").unwrap_err().contains("no certificate"));
        assert!(Trust::read(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    }
}
