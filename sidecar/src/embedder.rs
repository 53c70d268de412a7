//! The process that makes vectors of texts: this program again, under a command of its own.

use std::path::PathBuf;
use std::sync::Arc;

use llmcache_semantic::embedding::{Embedder, Settings};

/// The command under which this program and `kubectl-llmcache` run the model.
pub const COMMAND: &str = "embedder";
/// Environment variable with the model folder; the sidecar's image sets it.
pub const MODEL_DIR: &str = "LLMCACHE_MODEL_DIR";

/// Least memory limit with which there is an embedder: it takes about 90 MiB beside the proxy's own.
const LEAST_MEMORY: usize = 192 << 20;
/// Its own cap, far below the container's: beyond that the kernel ends the whole container.
const CAP: u64 = 128 << 20;
/// Texts that may wait: at 5 ms each the last one is just in time.
const QUEUE: usize = 4;

/// The embedder of this process, which starts with its first text; or why there is none.
pub(crate) fn open(folder: Option<PathBuf>, memory_limit: Option<usize>) -> Result<Arc<Embedder>, String> {
    if let Some(limit) = memory_limit.filter(|limit| *limit < LEAST_MEMORY) {
        return Err(format!(
            "the memory limit of {}Mi is below the {}Mi that the embedder needs; raise it by the annotation \
             llmcache.dev/resources",
            limit >> 20,
            LEAST_MEMORY >> 20
        ));
    }
    let folder = folder.ok_or_else(|| format!("no model folder: {MODEL_DIR} is not set"))?;
    let program = std::env::current_exe().map_err(|error| format!("this program is not found again: {error}"))?;
    Ok(Arc::new(Embedder::new(Settings {
        program,
        arguments: vec![COMMAND.into()],
        folder,
        queue: QUEUE,
        memory_bytes: CAP,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_or_no_folder_is_told_with_its_fix() {
        let why = |folder: Option<&str>, limit| open(folder.map(Into::into), limit).unwrap_err();
        assert!(why(Some("/m"), Some(128 << 20)).contains("llmcache.dev/resources"));
        assert!(why(None, Some(256 << 20)).contains("LLMCACHE_MODEL_DIR"));
        assert!(open(Some("/m".into()), None).is_ok());
    }
}
