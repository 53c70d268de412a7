#!/usr/bin/env bash
# up.sh api|node: starts a cluster; when it is ready prints its settings, a KEY=VALUE each line, for `export $(up.sh api)`.
#   api   etcd, kube-apiserver and kube-controller-manager on loopback ports; needs no root. Where KUBEBUILDER_ASSETS is
#         set, its etcd, kube-apiserver and kubectl serve (and its kube-controller-manager, if any), and nothing is built.
#   node  all of Kubernetes, with a kubelet that runs real pods; needs root
# CLUSTER_INDEX is its place (default: the first free one). CLUSTER_ENDS_WITH_STDIN=1: it ends when standard input does.
set -euo pipefail
asked=${CLUSTER_INDEX:-}
source "$(dirname "$0")/env.sh"

last_index=99

# claim INDEX: takes a place that no living cluster has; every process of a cluster holds the lock on its folder.
claim() {
  settle "$1"
  mkdir -p "$CLUSTER_DIR" 2>/dev/null && [ -O "$CLUSTER_DIR" ] || return 1
  exec 9<"$CLUSTER_DIR" || return 1
  flock -n 9 && [ "$CLUSTER_DIR" -ef /proc/self/fd/9 ] || return 1
  export NODE_IP=127.0.0.1 API_PORT=$((6500 + 10 * CLUSTER_INDEX))
  if [ "$mode" = node ]; then
    NODE_IP=10.200.$CLUSTER_INDEX.2 API_PORT=6443
    ! ip link show "llmcache$CLUSTER_INDEX" >/dev/null 2>&1 || return 1
  else
    ! (exec 3<>"/dev/tcp/127.0.0.1/$API_PORT") 2>/dev/null || return 1
  fi
  # What a dead cluster left here; the folder itself stays, for the lock is on it.
  find "$CLUSTER_DIR" -mindepth 1 -delete
  mkdir "$CLUSTER_DIR/logs"
  mkdir -m 700 "$CLUSTER_DIR/pki" # holds tokens
}

choose() {
  local index
  if [ -n "$asked" ]; then
    claim "$asked" || fail "place $asked is taken by a running cluster: set another CLUSTER_INDEX, or run down.sh there"
    return
  fi
  for index in $(seq 0 "$last_index"); do
    if claim "$index"; then return; fi
  done
  fail "all places from 0 to $last_index are taken: run down.sh with the CLUSTER_INDEX of one that is not needed"
}

check_node() {
  local path program
  [ "$(id -u)" -eq 0 ] || fail 'a node needs root: it makes namespaces, mounts and network interfaces'
  for program in containerd runc iptables ip unshare; do
    command -v "$program" >/dev/null || fail "$program is missing: run tests/setup/packages.sh e2e"
  done
  for path in "$here" "$CLUSTER_BIN" "${TMPDIR:-/tmp}"; do
    case $path/ in /run/* | /var/lib/* | /var/log/*) fail "$path is hidden from a node, which has its own /run, /var/lib and /var/log" ;; esac
  done
}

# A node's process is `unshare`, whose only child is process 1 of the node.
start() {
  local box=()
  if [ "$mode" = node ]; then
    box=(unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc)
  fi
  setsid "${box[@]}" "$here/run.sh" "$mode" >"$CLUSTER_DIR/logs/run.log" 2>&1 </dev/null &
  pid=$!
  disown "$pid" # or bash says how it ended
  echo "$pid" >"$CLUSTER_DIR/pid"
  echo "$mode" >"$CLUSTER_DIR/mode"
}

connect() {
  until [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  ip link add "llmcache$CLUSTER_INDEX" type veth peer name eth0 netns "$pid"
  ip addr add "10.200.$CLUSTER_INDEX.1/24" dev "llmcache$CLUSTER_INDEX"
  ip link set "llmcache$CLUSTER_INDEX" up
}

await_ready() {
  for _ in $(seq 1200); do
    if [ -e "$CLUSTER_DIR/ready" ]; then return; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

give_up() {
  say "the cluster did not get ready; the last lines of its logs:"
  find "$CLUSTER_DIR/logs" -name '*.log' ! -name audit.log -exec tail -n 5 {} + >&2
  echo "${TMPDIR:-/tmp}/llmcache-cluster-logs/$CLUSTER_INDEX" >"$CLUSTER_DIR/keep-logs"
  exec 9<&-
  "$here/down.sh"
}

case ${1:-} in api | node) mode=$1 ;; *) fail 'usage: up.sh api|node' ;; esac
if [ "$mode" = node ]; then check_node; fi
use "$mode"
if [ "$mode" = api ] && [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in etcd kube-apiserver kubectl; do
    [ -x "$KUBEBUILDER_ASSETS/$program" ] || fail "$KUBEBUILDER_ASSETS/$program is missing: correct KUBEBUILDER_ASSETS, or unset it to build Kubernetes"
  done
else
  "$here/build.sh"
fi
choose
trap give_up EXIT
start
if [ "$mode" = node ]; then connect; fi
await_ready || exit 1
trap - EXIT
if [ "${CLUSTER_ENDS_WITH_STDIN:-}" = 1 ]; then
  setsid bash -c 'cat >/dev/null; exec "$0"' "$here/down.sh" 3<&0 <&3 >/dev/null 2>&1 9<&- &
fi
for setting in CLUSTER_INDEX CLUSTER_DIR CLUSTER_BIN KUBECONFIG CONTAINERD_ADDRESS CONTAINERD_NAMESPACE PATH; do
  printf '%s=%s\n' "$setting" "${!setting}"
done
