#!/usr/bin/env bash
# Format, clippy and the example policies; what an editor would tell you, for the whole workspace.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo fmt --all --check
cargo clippy ${LLMCACHE_CARGO_FLAGS:-} --workspace --all-targets -- -D warnings
cargo run -q ${LLMCACHE_CARGO_FLAGS:-} -p llmcache-cli --bin kubectl-llmcache -- lint crds/examples/*.yaml
