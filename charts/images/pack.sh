#!/usr/bin/env bash
# pack.sh [OPTION…] NAME:TAG ROOTFS OUT.tar [ENTRYPOINT…]: packs a root file system as an image of one layer, which
# `docker load`, `podman load` and `ctr images import` understand: an OCI layout that is a Docker archive too.
# The same input gives the same bytes.
#   --user UID:GID   --env NAME=VALUE   --label NAME=VALUE   --gzip (smaller and slower)
set -euo pipefail

user='' env='"PATH=/usr/sbin:/usr/bin:/sbin:/bin"' labels='' gzip=''

# quoted TEXT: as a JSON string.
quoted() {
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

while [ $# -gt 0 ]; do
  case $1 in
    --user) user=$2; shift 2 ;;
    --env) env+=,$(quoted "$2"); shift 2 ;;
    --label) labels+=${labels:+,}$(quoted "${2%%=*}"):$(quoted "${2#*=}"); shift 2 ;;
    --gzip) gzip=+gzip; shift ;;
    *) break ;;
  esac
done
name=$1 rootfs=$2 out=$(realpath -m "$3")
shift 3
entrypoint=''
for argument in "$@"; do entrypoint+=${entrypoint:+,}$(quoted "$argument"); done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/image/blobs/sha256"

archive() { tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=a+rX "$@"; }

# keep FILE: moves it among the blobs; sets `digest` and `size`.
keep() {
  size=$(stat -c %s "$1")
  digest=$(sha256sum "$1" | cut -d' ' -f1)
  mv "$1" "$work/image/blobs/sha256/$digest"
}

archive -C "$rootfs" -cf "$work/layer" .
content=$(sha256sum "$work/layer" | cut -d' ' -f1)
if [ -n "$gzip" ]; then gzip -n "$work/layer" && mv "$work/layer.gz" "$work/layer"; fi
keep "$work/layer"
layer=$digest layer_size=$size

case $(uname -m) in aarch64) architecture=arm64 ;; *) architecture=amd64 ;; esac
cat >"$work/config" <<JSON
{"architecture":"$architecture","os":"linux","config":{"User":"$user","Env":[$env],"Entrypoint":[$entrypoint],"Labels":{$labels}},"rootfs":{"type":"layers","diff_ids":["sha256:$content"]}}
JSON
keep "$work/config"
config=$digest config_size=$size

type=application/vnd.oci.image
cat >"$work/manifest" <<JSON
{"schemaVersion":2,"mediaType":"$type.manifest.v1+json","config":{"mediaType":"$type.config.v1+json","digest":"sha256:$config","size":$config_size},"layers":[{"mediaType":"$type.layer.v1.tar$gzip","digest":"sha256:$layer","size":$layer_size}]}
JSON
keep "$work/manifest"
cat >"$work/image/index.json" <<JSON
{"schemaVersion":2,"mediaType":"$type.index.v1+json","manifests":[{"mediaType":"$type.manifest.v1+json","digest":"sha256:$digest","size":$size,"annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"${name##*:}"}}]}
JSON
printf '{"imageLayoutVersion":"1.0.0"}\n' >"$work/image/oci-layout"
printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]\n' "$config" "$name" "$layer" >"$work/image/manifest.json"
mkdir -p "$(dirname "$out")"
archive -C "$work/image" -cf "$out.part" .
mv "$out.part" "$out"
