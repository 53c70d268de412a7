#!/usr/bin/env bash
# build.sh [PROGRAM…]: builds the programs of the images, stripped, and prints the folder that holds them; further programs
# of the workspace can be named. PROFILE is cargo's profile (default: release).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

profile=${PROFILE:-release}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
folder=$target/images/programs-$profile
built=$target/$profile
if [ "$profile" = dev ]; then built=$target/debug; fi

# keep PROGRAM…
keep() {
  local program
  mkdir -p "$folder"
  for program in "$@"; do strip -o "$folder/$program" "$built/$program"; done
}

# Of all the workspace, so that features and thus dependencies are those that every other build uses.
build=(cargo build ${LLMCACHE_CARGO_FLAGS:-} --workspace --profile "$profile")
"${build[@]}" --bins >&2
keep llmcache "$@"
RUSTC_WORKSPACE_WRAPPER=$PWD/charts/images/static-operator.sh "${build[@]}" --bin llmcache-operator >&2
keep llmcache-operator
printf '%s\n' "$folder"
