//! Writes the files that are made from the types: the definitions and the reference.

use std::{fs, io, path::Path};

use llmcache_crds::{invalidation_definition, policy_definition, reference};

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, definition) in [
        ("llmcachepolicies.yaml", policy_definition()),
        ("llmcacheinvalidations.yaml", invalidation_definition()),
    ] {
        let yaml = reference::definition_yaml(&definition).map_err(io::Error::other)?;
        fs::write(folder.join(file), yaml)?;
    }
    fs::write(folder.join("README.md"), reference::markdown())
}
