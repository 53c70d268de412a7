#!/usr/bin/env bash
# Prints a folder holding node_modules of tests/sdk/node/package-lock.json, made once per content of that file.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

package=tests/sdk/node
folder="$cache/node-$(content_key "$package/package.json" "$package/package-lock.json")"
if [ ! -e "$folder/.complete" ]; then
  say "installing the Node SDKs into $folder"
  rm -rf "$folder"
  mkdir -p "$folder"
  cp "$package/package.json" "$package/package-lock.json" "$folder/"
  npm ci --prefix "$folder" --no-audit --no-fund --loglevel=error >&2
  touch "$folder/.complete"
fi
printf '%s\n' "$folder"
