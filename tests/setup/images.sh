#!/usr/bin/env bash
# images.sh [IMAGE…]: packs images that need no Docker to be made (default: operator sidecar) and says where they are.
# Ours take their user, labels and entry point from the Dockerfiles of charts/images, the tests' own come from rootfs.sh.
# PROFILE is cargo's profile (default: release), TAG and PREFIX make the names (default: this version, nothing), OUT is the
# folder (default: images in the target folder), PROGRAMS one of programs that are built already.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

[ $# -gt 0 ] || set -- operator sidecar
profile=${PROFILE:-release}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
tag=${TAG:-$version} prefix=${PREFIX:-}
out=$(realpath -m "${OUT:-${CARGO_TARGET_DIR:-target}/images}")
pack=charts/images/pack.sh

# ours IMAGE: one of those that are shipped.
ours() {
  local file=charts/images/$1.Dockerfile options=(--label "org.opencontainers.image.version=$version") label variable
  charts/images/rootfs.sh "$1" "$programs" "$out/$1"
  while read -r label; do options+=(--label "$label"); done < <(sed -n 's/^LABEL \([^=]*=\)"\(.*\)"$/\1\2/p' "$file")
  while read -r variable; do options+=(--env "$variable"); done < <(sed -n 's/^ENV \([^=]*=\)"\(.*\)"$/\1\2/p' "$file")
  if [ "$profile" = release ]; then options+=(--gzip); fi
  "$pack" "${options[@]}" --user "$(sed -n 's/^USER //p' "$file")" \
    "${prefix}llmcache-$1:$tag" "$out/$1" "$out/llmcache-$1.tar" "$(sed -n 's/^ENTRYPOINT \["\(.*\)"\]$/\1/p' "$file")"
}

# theirs IMAGE: other people's programs, packed once per version of them.
theirs() {
  local kept
  kept=$cache/images/$1-$(tests/setup/rootfs.sh "$1" key).tar
  if [ ! -e "$kept" ]; then
    say "packing $1 into $kept"
    tests/setup/rootfs.sh "$1" "$out/$1"
    local options=() entrypoint=()
    if [ "$1" = python ]; then options=(--env "PATH=$(dirname "$(tests/setup/python.sh)"):/usr/bin:/bin"); fi
    case $1 in redis) entrypoint=(redis-server) ;; prometheus) entrypoint=(prometheus) ;; esac
    "$pack" "${options[@]}" "localhost/$1:e2e" "$out/$1" "$kept" "${entrypoint[@]}"
    rm -rf "$out/$1"
  fi
  ln -f "$kept" "$out/$1.tar" 2>/dev/null || cp "$kept" "$out/$1.tar"
}

mkdir -p "$out"
programs=${PROGRAMS:-}
case " $* " in *' operator '* | *' sidecar '* | *' fake-provider '*)
  [ -n "$programs" ] || programs=$(PROFILE=$profile charts/images/build.sh fake-provider) ;;
esac
for image in "$@"; do
  case $image in
    operator | sidecar) ours "$image"; file=$out/llmcache-$image.tar ;;
    fake-provider)
      tests/setup/rootfs.sh "$image" "$out/$image" "$programs"
      "$pack" "localhost/$image:e2e" "$out/$image" "$out/$image.tar" "/$image"
      file=$out/$image.tar
      ;;
    *) theirs "$image"; file=$out/$image.tar ;;
  esac
  say "$(printf '%-14s %4d MiB  %s' "$image" "$(($(stat -c %s "$file") >> 20))" "$file")"
done
