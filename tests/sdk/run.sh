#!/usr/bin/env bash
# Runs the suites of the official SDKs, Vercel's, LangChain's and curl's against a fake provider, directly and through
# llmcache; both servers end with it.
# LLMCACHE_BIN and FAKE_BIN name the two programs (default: built here). LLMCACHE_URL names a running proxy instead of
# starting one; its upstream must then be the fake at FAKE_URL. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

target=${CARGO_TARGET_DIR:-target}
if [ -z "${FAKE_BIN:-}${FAKE_URL:-}" ]; then
  cargo build -q ${LLMCACHE_CARGO_FLAGS:-} -p llmcache-tests --bin fake-provider
fi
if [ -z "${LLMCACHE_BIN:-}${LLMCACHE_URL:-}" ]; then
  cargo build -q ${LLMCACHE_CARGO_FLAGS:-} -p llmcache-cli --bin kubectl-llmcache
fi
python=$(tests/setup/python.sh)
node=$(tests/setup/node.sh)
# Node finds packages beside the importing file alone; a folder of one's own is left as it is.
if [ -L tests/sdk/node/node_modules ] || [ ! -e tests/sdk/node/node_modules ]; then
  ln -sfn "$node/node_modules" tests/sdk/node/node_modules
fi

work=$(mktemp -d)
pids=()
finish() {
  [ "${#pids[@]}" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$work"
}
trap finish EXIT

# serve NAME COMMAND…: starts it and waits for the line that says where it listens.
serve() {
  local name=$1
  shift
  "$@" >"$work/$name.out" 2>"$work/$name.log" &
  local pid=$!
  pids+=("$pid")
  until grep -q 'ready' "$work/$name.out"; do
    kill -0 "$pid" 2>/dev/null || { cat "$work/$name.log" >&2; fail "$name ended before it listened"; }
    sleep 0.05
  done
}

if [ -z "${FAKE_URL:-}" ]; then
  serve fake-provider "${FAKE_BIN:-$target/debug/fake-provider}" --listen 127.0.0.1:0 --bind-thinking --gzip
  FAKE_URL=$(grep -o 'http://[0-9.:]*' "$work/fake-provider.out" | head -n 1)
fi
if [ -z "${LLMCACHE_URL:-}" ]; then
  serve llmcache "${LLMCACHE_BIN:-$target/debug/kubectl-llmcache}" local -f tests/sdk/policy.yaml \
    --listen 127.0.0.1:0 --admin 127.0.0.1:0 --secret-file "$work/secret" \
    --anthropic-upstream "$FAKE_URL" --openai-upstream "$FAKE_URL/v1"
  LLMCACHE_URL=$(sed -n 's/.*proxy=\(http:[^ ]*\).*/\1/p' "$work/llmcache.out")
fi
export FAKE_URL LLMCACHE_URL

# Nothing of the caller's own accounts, proxies or logging may change what the SDKs do.
unset "${!ANTHROPIC_@}" "${!OPENAI_@}" "${!LANGCHAIN_@}" "${!LANGSMITH_@}" HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy

failed=0
"$python" -B -m pytest -q -p no:cacheprovider tests/sdk/python "$@" || failed=1
node --test --test-concurrency=1 --test-reporter=spec tests/sdk/node/*.test.mjs || failed=1
if [ "$failed" -ne 0 ] && [ -f "$work/llmcache.log" ]; then
  say "the proxy's last words:"
  tail -n 20 "$work/llmcache.log" >&2
fi
exit "$failed"
