#!/usr/bin/env bash
# rootfs.sh operator|sidecar PROGRAMS OUT: assembles the root file system of an image in the new folder OUT: our program,
# taken from the folder PROGRAMS, and what it needs of this machine's Debian release, whose C library it was linked with.
# The Dockerfiles beside this file copy the folder; `make images` packs it.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

image=$1 programs=$(realpath "$2") out=$3
mkdir -p "$(dirname "$out")"
rm -rf "$out"
mkdir "$out"
out=$(realpath "$out")

# download PACKAGE: prints the file of its newest version, fetched once.
download() {
  local version folder found
  version=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
  folder="$cache/debian/$1-$version"
  if ! found=$(compgen -G "$folder/*.deb"); then
    say "downloading the Debian package $1 $version"
    mkdir -p "$folder"
    (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root download "$1" >&2) || fail "cannot download $1: run 'apt-get update', then this again"
    found=$(compgen -G "$folder/*.deb")
  fi
  printf '%s\n' "$found"
}

# unpack PACKAGE…: their files without manuals; licences stay.
unpack() {
  local package deb
  for package in "$@"; do
    deb=$(download "$package")
    dpkg-deb --extract "$deb" "$out"
  done
  rm -rf "$out"/usr/share/{bug,lintian,locale,man}
  find "$out/usr/share/doc" -mindepth 2 ! -regex '.*/doc/[^/]*/copyright' -delete
}

# The roots that Debian trusts, without those of this machine.
certificates() {
  unpack ca-certificates
  mkdir -p "$out/etc/ssl/certs"
  cat "$out"/usr/share/ca-certificates/mozilla/*.crt >"$out/etc/ssl/certs/ca-certificates.crt"
  rm -r "$out"/usr/share/ca-certificates "$out"/usr/sbin "$out"/etc/ca-certificates
}

c_library() {
  unpack libc6 libgcc-s1
  # Tables of foreign character sets and modules for profilers.
  rm -rf "$out"/usr/lib/*/{gconv,audit} "$out"/usr/share/gcc
}

# The semantic cache's model, and the library of C++ that its runtime is linked with.
model() {
  local folder
  folder=$(tests/setup/model.sh)
  cp -rL --no-preserve=mode "$folder" "$out/model"
  install -D -m 644 sidecar/semantic/model/copyright "$out/usr/share/doc/llmcache-model/copyright"
  unpack libstdc++6
  rm -rf "$out"/usr/share/{gcc,gdb}
}

# Who the program is, and that names are looked up in files first.
accounts() {
  mkdir -p "$out/etc"
  printf 'root:x:0:0:root:/:/sbin/nologin\nllmcache:x:64535:64535:llmcache:/:/sbin/nologin\n' >"$out/etc/passwd"
  printf 'root:x:0:\nllmcache:x:64535:\n' >"$out/etc/group"
  printf 'hosts: files dns\n' >"$out/etc/nsswitch.conf"
}

# program NAME: ours, at the top.
program() {
  install -m 755 "$programs/$1" "$out/$1"
  install -D -m 644 LICENSE "$out/usr/share/doc/llmcache/copyright"
}

certificates
accounts
case $image in
  operator)
    program llmcache-operator
    ! readelf --program-headers "$out/llmcache-operator" | grep -q INTERP ||
      fail 'llmcache-operator is not static: build it with charts/images/build.sh'
    ;;
  sidecar)
    program llmcache
    c_library
    model
    ;;
  *) fail "unknown image '$image': operator or sidecar" ;;
esac
