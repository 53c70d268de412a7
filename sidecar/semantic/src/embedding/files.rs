//! The model folder: which files it holds and the SHA-256 that each must have.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Take};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The weights and the graph.
pub(super) const MODEL: &str = "model.onnx";
/// ONNX Runtime.
pub(super) const RUNTIME: &str = "libonnxruntime.so";

/// The same lines that `tests/setup/model.sh` checks.
const SUMS: &str = include_str!("../../model/files.sums");
#[cfg(target_arch = "x86_64")]
const RUNTIME_SUMS: &str = include_str!("../../model/runtime-x86_64.sums");
#[cfg(target_arch = "aarch64")]
const RUNTIME_SUMS: &str = include_str!("../../model/runtime-aarch64.sums");
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const RUNTIME_SUMS: &str = "";

/// No file of the folder is larger; one that is would only fill the memory before it is refused.
const MOST_BYTES: u64 = 64 << 20;

/// What is wrong with a model folder, and what to do about it.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A file, or the whole folder, is not there.
    #[error("{} is missing: make the model folder with tests/setup/model.sh, or name the one in the sidecar's image", .0.display())]
    Missing(PathBuf),
    /// A file is there and cannot be read.
    #[error("{} cannot be read ({reason}): give the sidecar's user read access to the model folder", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// A file is not, byte by byte, the one that this version was tested with.
    #[error("{} is not the file this version knows: make the model folder anew with this version's tests/setup/model.sh", .0.display())]
    Changed(PathBuf),
    /// ONNX Runtime cannot be loaded.
    #[error("{} cannot be loaded ({reason}): it needs glibc and libstdc++, on x86_64 or aarch64", file.display())]
    Runtime {
        /// The library.
        file: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// ONNX Runtime does not take the model, for want of memory most likely.
    #[error("{} cannot be opened ({reason}): give the embedder more memory", file.display())]
    Refused {
        /// The model file.
        file: PathBuf,
        /// What ONNX Runtime or the tokenizer said.
        reason: String,
    },
}

/// The bytes of a file of the folder, once its sum is known to be right.
pub(super) fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
    let file = folder.join(name);
    let mut bytes = Vec::new();
    open(&file)?
        .read_to_end(&mut bytes)
        .map_err(|reason| unreadable(&file, reason))?;
    if hex::encode(Sha256::digest(&bytes)) == known_sum(name) {
        Ok(bytes)
    } else {
        Err(ModelError::Changed(file))
    }
}

/// The path of a file of the folder, once its sum is known to be right; for one that others open.
pub(super) fn checked(folder: &Path, name: &str) -> Result<PathBuf, ModelError> {
    let file = folder.join(name);
    let mut source = open(&file)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match source.read(&mut part).map_err(|reason| unreadable(&file, reason))? {
            0 => break,
            length => hash.update(&part[..length]),
        }
    }
    if hex::encode(hash.finalize()) == known_sum(name) {
        Ok(file)
    } else {
        Err(ModelError::Changed(file))
    }
}

/// The SHA-256 of a file in hex; empty, and so no file's, for a name that is not pinned.
pub(super) fn known_sum(name: &str) -> &'static str {
    SUMS.lines()
        .chain(RUNTIME_SUMS.lines())
        .find_map(|line| line.strip_suffix(name)?.strip_suffix("  "))
        .unwrap_or_default()
}

fn open(file: &Path) -> Result<Take<File>, ModelError> {
    match File::open(file) {
        Ok(file) => Ok(file.take(MOST_BYTES)),
        Err(reason) if matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(ModelError::Missing(file.to_owned()))
        }
        Err(reason) => Err(unreadable(file, reason)),
    }
}

fn unreadable(file: &Path, reason: io::Error) -> ModelError {
    ModelError::Unreadable {
        file: file.to_owned(),
        reason,
    }
}
