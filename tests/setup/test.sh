#!/usr/bin/env bash
# Every check in order; a failed one does not hide the next. Ends with a summary and the exit code.
set -euo pipefail
cd "$(dirname "$0")/../.."

flags=${LLMCACHE_CARGO_FLAGS:-}
tests/setup/packages.sh prometheus # promtool
summary=()
passed=0
failed=0

# step NAME COMMAND…: runs it, times it, notes how it ended.
step() {
  local name=$1 start=$SECONDS result=ok
  shift
  printf '\n=== %s: %s\n' "$name" "$*"
  if "$@" </dev/null; then passed=$((passed + 1)); else result=FAILED; failed=$((failed + 1)); fi
  summary+=("$(printf '%-18s %-7s %5d s' "$name" "$result" "$((SECONDS - start))")")
}

# The newest SDKs want a newer Node than Debian's.
with_node() {
  local node
  node=$(tests/setup/node-runtime.sh) && PATH="$node:$PATH" "$@"
}

# Kubernetes is compiled once and kept; the clusters of the tests then start within seconds.
kubernetes() { [ -n "${KUBEBUILDER_ASSETS:-}" ] || tests/setup/cluster/build.sh; }

step 'format' cargo fmt --all --check
step 'clippy' cargo clippy $flags --workspace --all-targets -- -D warnings
# Among these: crates and files in order (tests/tests/tidy.rs), generated files up to date (crds/tests/generated.rs).
# Those against a cluster have steps of their own.
# Tests of the embedder need the semantic cache's model.
model() { LLMCACHE_MODEL_DIR=$(tests/setup/model.sh) && export LLMCACHE_MODEL_DIR; }
step 'model' model
step 'rust tests' env LLMCACHE_API=off LLMCACHE_E2E=off cargo test $flags --workspace --no-fail-fast
# The tests have built the programs; naming one package to cargo would choose other features and build all anew.
programs=${CARGO_TARGET_DIR:-target}/debug
export LLMCACHE_BIN=$programs/kubectl-llmcache FAKE_BIN=$programs/fake-provider
step 'planted bugs' tests/setup/planted.sh
step 'example policies' "$LLMCACHE_BIN" lint crds/examples/*.yaml
step 'chart' tests/setup/chart.sh
step 'SDK tests' with_node tests/sdk/run.sh
step 'Kubernetes' kubernetes
step 'API server tests' cargo test $flags --workspace --test api
step 'node tests' tests/setup/e2e.sh
step 'README programs' with_node tests/setup/readme.sh

printf '\n=== summary (%d s)\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
