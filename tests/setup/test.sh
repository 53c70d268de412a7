#!/usr/bin/env bash
# Every check in order; a failed one does not hide the next. Ends with a summary and the exit code.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

flags=${LLMCACHE_CARGO_FLAGS:-}
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

# Regenerating must change nothing that is committed or new.
generated_files() {
  local before after
  before=$(git status --porcelain -- crds) && before+=$(git diff -- crds)
  cargo run -q $flags -p llmcache-crds --bin generate-crds
  after=$(git status --porcelain -- crds) && after+=$(git diff -- crds)
  [ "$before" = "$after" ] || { git --no-pager diff --stat -- crds; say "run 'make generate' and commit crds/"; return 1; }
}

step 'format' cargo fmt --all --check
step 'clippy' cargo clippy $flags --workspace --all-targets -- -D warnings
step 'rust tests' cargo test $flags --workspace --no-fail-fast
step 'generated files' generated_files
step 'example policies' cargo run -q $flags -p llmcache-cli --bin kubectl-llmcache -- lint crds/examples/*.yaml
step 'SDK tests' tests/sdk/run.sh

printf '\n=== summary (%d s)\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
