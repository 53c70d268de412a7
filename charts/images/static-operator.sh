#!/usr/bin/env bash
# The compiler of the workspace's crates (RUSTC_WORKSPACE_WRAPPER) that links one program, the operator, with the C library
# inside: its image then holds nothing else. Flags for all crates would build every dependency once more.
set -euo pipefail
case " $* " in
  *" --crate-name llmcache_operator "*" --crate-type bin "*) exec "$@" -C target-feature=+crt-static ;;
  *) exec "$@" ;;
esac
