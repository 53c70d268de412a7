# Sourced by the setup scripts: one voice, one place for what is kept between runs.

cache="${LLMCACHE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmcache}"

say() { printf 'llmcache: %s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 1
}

# content_key FILE…: a short name that changes when a file's bytes do.
content_key() { cat -- "$@" | sha256sum | cut -c1-16; }
