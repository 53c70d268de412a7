#!/usr/bin/env bash
# Prints the Python of a virtual environment with tests/sdk/python/requirements.txt, made once per content of that file.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

requirements=tests/sdk/python/requirements.txt
venv="$cache/venv-$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-$(content_key "$requirements")"
if [ ! -e "$venv/.complete" ]; then
  say "installing the Python SDKs into $venv"
  rm -rf "$venv"
  mkdir -p "$cache"
  python3 -m venv "$venv" >&2
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" >&2
  touch "$venv/.complete"
fi
printf '%s\n' "$venv/bin/python"
