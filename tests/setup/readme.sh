#!/usr/bin/env bash
# Runs the README's Python and Node programs as printed against what the player leaves serving, then ends the player.
# Each program asks the same twice: the second answer must be a hit.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

programs=${CARGO_TARGET_DIR:-target}/debug
if [ ! -x "$programs/demo" ] || [ ! -x "$programs/kubectl-llmcache" ]; then
  cargo build -q ${LLMCACHE_CARGO_FLAGS:-} --workspace --bins
fi
python=$(tests/setup/python.sh)
node=$(tests/setup/node.sh)
work=$(mktemp -d)
"$programs/demo" >"$work/out" 2>"$work/err" &
player=$!
trap 'kill "$player" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
until grep -q '^Serving until' "$work/out"; do
  kill -0 "$player" 2>/dev/null || { cat "$work/out" "$work/err" >&2; fail 'the player ended before it served'; }
  sleep 0.1
done
proxy=$(sed -n 's/^llmcache  \(http:[^ ]*\) .*/\1/p' "$work/err")

# Blocks of one language, a file each; a port that was taken is the only thing that may differ from the print.
blocks() {
  awk -v kind="$1" -v prefix="$work/$1" '
    $0 == "```" kind { open = 1; file = prefix (++n); next }
    /^```/ { open = 0 }
    open { print > file }' README.md
  sed -i "s|http://127.0.0.1:15480|$proxy|" "$work/$1"[0-9]*
}
blocks python
blocks js
ln -s "$node/node_modules" "$work/node_modules"

passed=0
try() {
  local output
  output=$("${@}") || fail "$2 of the README failed: $output"
  [ "$(grep -c 'llmcache; hit;' <<<"$output")" -eq 1 ] || fail "$2 of the README got no hit: $output"
  printf '%s\n' "$output"
  passed=$((passed + 1))
}
for program in "$work"/python[0-9]*; do try "$python" "$program"; done
for program in "$work"/js[0-9]*; do
  mv "$program" "$program.mjs"
  try node "$program.mjs"
done

kill -TERM "$player"
wait "$player" || fail "the player ended with $?"
! (exec 3<>"/dev/tcp/127.0.0.1/${proxy##*:}") 2>/dev/null || fail 'the player left the sidecar behind'
printf '%d passed, 0 failed\n' "$passed"
