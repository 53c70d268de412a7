#!/usr/bin/env bash
# Builds every program a cluster needs into $CLUSTER_BIN, once per content of what it builds from.
set -euo pipefail
source "$(dirname "$0")/env.sh"
[ ! -e "$CLUSTER_BIN/.complete" ] || exit 0

mkdir -p "$cache"
exec 8>"$CLUSTER_BIN.lock"
flock 8
[ ! -e "$CLUSTER_BIN/.complete" ] || exit 0
command -v go >/dev/null || fail 'go is missing: install Go 1.24 or newer, or name a folder with etcd, kube-apiserver and kubectl in KUBEBUILDER_ASSETS'
say "building Kubernetes $kubernetes into $CLUSTER_BIN (once; about ten minutes on two cores)"

minor=${kubernetes#v1.} minor=${minor%%.*}
version=k8s.io/component-base/version
ldflags="-s -w -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes -X $version.gitVersion=$kubernetes"
ldflags+=" -X $version.gitMajor=1 -X $version.gitMinor=$minor -X $version.gitTreeState=clean"

rm -rf "$CLUSTER_BIN"
mkdir -p "$CLUSTER_BIN"
(cd "$here" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$CLUSTER_BIN/" \
  . ./coredns ./pause helm.sh/helm/v3/cmd/helm) >&2
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  ln -s kube "$CLUSTER_BIN/$name"
done
for name in pause coredns; do
  mkdir "$CLUSTER_BIN/rootfs"
  ln "$CLUSTER_BIN/$name" "$CLUSTER_BIN/rootfs/"
  "$here/../../../charts/images/pack.sh" "localhost/$name:1" "$CLUSTER_BIN/rootfs" "$CLUSTER_BIN/$name.tar" "/$name"
  rm -r "$CLUSTER_BIN/rootfs"
done
touch "$CLUSTER_BIN/.complete"
