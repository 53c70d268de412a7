# shellcheck shell=bash
# Sourced: where the programs of a cluster are, and where one cluster keeps itself. CLUSTER_INDEX tells apart those that
# run side by side.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../say.sh"

kubernetes=$(sed -n 's/^\tk8s.io\/kubernetes \(v[0-9.]*\)$/\1/p' "$here/go.mod")
# Ten minutes of compiling: named by what goes into it alone, so that no other change repeats it.
export CLUSTER_BIN=${CLUSTER_BIN:-$cache/cluster-$(content_key "$here"/{go.mod,go.sum,main.go,coredns/main.go,pause/main.go,build.sh})}

# settle INDEX: the names of that cluster. Its folder's path is short, for it holds Unix sockets.
settle() {
  export CLUSTER_INDEX=$1
  export CLUSTER_DIR=${TMPDIR:-/tmp}/llmcache-cluster-$1
  export KUBECONFIG=$CLUSTER_DIR/kubeconfig
  export CONTAINERD_ADDRESS=$CLUSTER_DIR/containerd.sock CONTAINERD_NAMESPACE=k8s.io # for ctr
}

# cgroups: the cluster's folder in each hierarchy, of which version 2 has but one.
cgroups() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "/sys/fs/cgroup/llmcache-$CLUSTER_INDEX"
  else
    for hierarchy in /sys/fs/cgroup/*/; do echo "${hierarchy}llmcache-$CLUSTER_INDEX"; done
  fi
}

# sweep: removes what a cluster that has ended left behind.
sweep() {
  local group to
  for group in $(cgroups); do find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true; done
  if [ -s "$CLUSTER_DIR/keep-logs" ]; then
    to=$(cat "$CLUSTER_DIR/keep-logs")
    rm -rf "$to" && mkdir -p "$to" && cp -a "$CLUSTER_DIR/logs/." "$to/" && say "the cluster's logs are kept in $to"
  fi
  rm -rf --one-file-system "$CLUSTER_DIR"
}

# use MODE: its programs come first in PATH.
use() {
  export PATH=$CLUSTER_BIN:$PATH
  if [ "$1" = api ] && [ -n "${KUBEBUILDER_ASSETS:-}" ]; then PATH=$KUBEBUILDER_ASSETS:$PATH; fi
}

settle "${CLUSTER_INDEX:-0}"
