#!/usr/bin/env bash
# Builds the programs and the images, then runs the tests against a real node (tests/tests/e2e and e2e_faults).
# LLMCACHE_E2E=require fails where no node can run, auto (the default) says so and skips, off skips.
# UPGRADE_FROM=REVISION also builds that revision's images, for the test that upgrades from them.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

mode=${LLMCACHE_E2E:-auto}
if [ "$mode" = off ]; then
  say 'LLMCACHE_E2E=off: no test against a node'
  exit
fi
if [ "$mode" != require ] && { [ "$(id -u)" -ne 0 ] || ! command -v containerd >/dev/null; }; then
  say 'no test against a node: that needs root and containerd (LLMCACHE_E2E=require installs what is missing)'
  exit
fi
tests/setup/packages.sh e2e

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
pack() { PROFILE=dev PREFIX=localhost/ tests/setup/images.sh "$@"; }

# Of an earlier revision only our programs differ; they are built in a folder of their own, outside this clone.
upgrade_from() {
  local revision source programs
  revision=$(git rev-parse --verify --quiet "$1^{commit}") || fail "UPGRADE_FROM=$1 is no revision of this repository"
  source=$cache/upgrade/$revision
  if [ ! -e "$source/.complete" ]; then
    rm -rf "$source"
    mkdir -p "$source"
    git archive "$revision" | tar -C "$source" -x
    touch "$source/.complete"
  fi
  [ -e "$source/charts/llmcache" ] || fail "UPGRADE_FROM=$1 has no chart to upgrade from"
  say "building revision ${revision::12} to upgrade from"
  programs=$(CARGO_TARGET_DIR=$cache/upgrade/target PROFILE=dev "$source/charts/images/build.sh")
  PROGRAMS=$programs OUT=$target/images/from TAG=from pack operator sidecar
  export LLMCACHE_UPGRADE_IMAGES=$target/images/from LLMCACHE_UPGRADE_CHART=$source/charts/llmcache
}

tests/setup/cluster/build.sh
say "Kubernetes is there after $SECONDS s"
OUT=$target/images/e2e TAG=e2e pack operator sidecar fake-provider busybox redis prometheus python
export LLMCACHE_E2E_IMAGES=$target/images/e2e
say "programs and images are there after $SECONDS s"
if [ -n "${UPGRADE_FROM:-}" ]; then upgrade_from "$UPGRADE_FROM"; fi
LLMCACHE_E2E=require cargo test ${LLMCACHE_CARGO_FLAGS:-} --workspace --no-fail-fast --test e2e --test e2e_faults -- --nocapture "$@"
