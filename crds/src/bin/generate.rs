//! Writes the files that are made from the policy's types: the definition and the policy reference.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let definition = llmcache_crds::reference::definition_yaml().map_err(io::Error::other)?;
    fs::write(folder.join("llmcachepolicies.yaml"), definition)?;
    fs::write(folder.join("README.md"), llmcache_crds::reference::markdown())
}
