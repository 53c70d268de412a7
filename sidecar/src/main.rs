//! `llmcache`, the program of the sidecar's container.

use std::process::ExitCode;

fn main() -> ExitCode {
    llmcache_sidecar::commands::run()
}
