#!/usr/bin/env bash
# Plants each bug of tests/planted into a copy of the code and checks that the histories find it: a test that cannot
# fail proves nothing. `LLMCACHE_HISTORIES` is how many are played for each.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

copy="$cache/planted"
histories=tiers::tests::histories::no_history_serves_what_is_banned_too_old_or_anothers
export CARGO_TARGET_DIR="$copy/target" LLMCACHE_HISTORIES="${LLMCACHE_HISTORIES:-500}"

for bug in "$PWD"/tests/planted/*.patch; do
  name=$(basename "$bug" .patch)
  rm -rf "$copy/source"
  mkdir -p "$copy/source"
  git ls-files -z | xargs -0 cp --parents --target-directory="$copy/source"
  (cd "$copy/source" && GIT_CEILING_DIRECTORIES="$copy" git apply "$bug") || fail "tests/planted/$name.patch does not apply: write it anew"
  log="$copy/$name.log"
  if (cd "$copy/source" && cargo test ${LLMCACHE_CARGO_FLAGS:-} -p llmcache-cache --lib -- --exact "$histories") >"$log" 2>&1; then
    fail "the histories do not find the planted bug $name: see $log"
  fi
  found=$(grep -o 'seed [0-9]*' "$log" | head -1) || fail "with the planted bug $name the histories fail for another reason: see $log"
  say "the planted bug $name is found ($found)"
done
