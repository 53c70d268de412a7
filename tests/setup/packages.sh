#!/usr/bin/env bash
# packages.sh KIND…: installs the Debian packages a command needs, only those missing.
# Kinds: rust (a compiler and linker), redis, nginx, python, node, curl, api (what starts an API server), e2e (a container
# runtime and what the images of the tests are made of). Rust and Go themselves are never installed behind your back.
set -euo pipefail
source "$(dirname "$0")/say.sh"

missing=()

# want PACKAGE CHECK…: notes the package when the check fails.
want() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

require_rust() {
  command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or newer with rustup, open a new shell, and run this again"
  cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
    fail "rustfmt or clippy is missing: run 'rustup component add rustfmt clippy', then this again"
}

require_go() {
  [ -z "${KUBEBUILDER_ASSETS:-}" ] || return 0
  [ ! -e "$(bash -c 'source "$0"; echo "$CLUSTER_BIN"' "$(dirname "$0")/cluster/env.sh")/.complete" ] || return 0
  command -v go >/dev/null ||
    fail "go is missing, which builds Kubernetes: install Go 1.24 or newer, or name a folder with etcd, kube-apiserver and kubectl in KUBEBUILDER_ASSETS"
}

# Builds outlive a clone, and cargo tells two clones' sources apart by their times alone: what another clone built of
# our own crates is built again, what it built of everybody else's stays.
claim_target() {
  local target=${CARGO_TARGET_DIR:-} here
  here=$(cd "$(dirname "$0")/../.." && pwd)
  [ -n "$target" ] && [ "$(cat "$target/.clone" 2>/dev/null)" != "$here" ] || return 0
  rm -rf "$target"/*/.fingerprint/llmcache-*
  mkdir -p "$target"
  printf '%s\n' "$here" >"$target/.clone"
}

install() {
  local apt=(apt-get)
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "please install as root: apt-get install ${missing[*]}"
    apt=(sudo apt-get)
  fi
  command -v apt-get >/dev/null || fail "please install with your system's package tool what Debian calls: ${missing[*]}"
  say "installing with apt: ${missing[*]} (Debian may start redis-server, nginx, containerd and prometheus as services; nothing here uses those)"
  export DEBIAN_FRONTEND=noninteractive
  "${apt[@]}" -qq update </dev/null >&2
  "${apt[@]}" -qq install -y --no-install-recommends "${missing[@]}" </dev/null >&2
}

for kind in "$@"; do
  case $kind in
    rust) require_rust; claim_target; want build-essential cc --version ;;
    prometheus) want prometheus command -v promtool ;;
    redis) want redis-server command -v redis-server ;;
    nginx) want nginx-light command -v nginx ;;
    python) want python3 python3 --version; want python3-venv python3 -c 'import ensurepip, venv' ;;
    node) want nodejs node --version; want npm npm --version ;;
    curl) want curl command -v curl ;;
    api) require_go; want openssl command -v openssl; want util-linux command -v setpriv flock ;;
    e2e)
      want containerd command -v containerd
      want runc command -v runc
      want containernetworking-plugins test -x /usr/lib/cni/bridge
      want iptables command -v iptables
      want iproute2 command -v ip
      want procps command -v sysctl
      want busybox-static busybox true
      want redis-server command -v redis-server
      want prometheus command -v prometheus
      ;;
    *) fail "unknown kind '$kind': one of rust redis nginx python node curl api e2e" ;;
  esac
done
[ "${#missing[@]}" -eq 0 ] || install
