//! Whether the environment wants tests against a cluster.

use anyhow::{bail, ensure};

use super::Level;
use super::program::say;

/// False when they are off; an error when they are required and cannot be.
pub(super) fn is_wanted(level: Level) -> anyhow::Result<bool> {
    let (variable, default) = match level {
        Level::Api => ("LLMCACHE_API", "require"),
        Level::Node => ("LLMCACHE_E2E", "auto"),
    };
    let value = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let can = level == Level::Api || can_run_a_node();
    match value.as_str() {
        "off" => Ok(false),
        "auto" if !can => {
            say("tests against a node are skipped: they need root and containerd");
            Ok(false)
        }
        "auto" => Ok(true),
        "require" => {
            ensure!(
                can,
                "{variable}=require, but a node needs root and containerd: run `make e2e` as root"
            );
            Ok(true)
        }
        _ => bail!("{variable}={value}: write require, auto or off"),
    }
}

fn can_run_a_node() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_containerd = std::env::split_paths(&path).any(|folder| folder.join("containerd").exists());
    rustix::process::geteuid().is_root() && has_containerd
}
