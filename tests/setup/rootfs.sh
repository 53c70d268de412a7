#!/usr/bin/env bash
# rootfs.sh IMAGE OUT [PROGRAMS]: assembles the root file system of an image that only tests use, out of what is installed on
# this machine; `rootfs.sh IMAGE key` prints a name that changes with its content. Each image has busybox beside its program.
# Images: busybox, redis, prometheus, python (with the SDKs of tests/sdk), fake-provider (from the folder PROGRAMS).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

image=$1 out=$2
[ "$out" = key ] || out=$(realpath -m "$out")

# What an image is made of, to name it by.
key() {
  case $image in
    busybox) busybox | head -n 1 ;;
    redis) redis-server --version ;;
    prometheus) prometheus --version 2>&1 ;;
    python) tests/setup/python.sh ;;
    *) fail "unknown image '$image': one of busybox redis prometheus python" ;;
  esac
}
if [ "$out" = key ]; then
  { key && cat tests/setup/rootfs.sh charts/images/pack.sh; } | sha256sum | cut -c1-16
  exit
fi

rm -rf "$out"
mkdir -p "$out/tmp"
chmod 1777 "$out/tmp"

# libraries FILE…: the libraries that they are linked with, at the same paths.
libraries() {
  local library
  ldd "$@" 2>/dev/null | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) (.*/\1/p' | sort -u | while read -r library; do
    case $library in "$out"/*) continue ;; esac
    [ -e "$out$library" ] || install -D "$library" "$out$library"
  done
}

# program NAME…: installed programs and their libraries.
program() {
  local name path
  for name in "$@"; do
    path=$(readlink -f "$(command -v "$name")")
    install -D "$path" "$out/usr/bin/$name"
    libraries "$path"
  done
}

shell() {
  local applet
  mkdir -p "$out/bin"
  cp "$(command -v busybox)" "$out/bin/busybox"
  for applet in $(busybox --list | grep -vx busybox); do ln -s busybox "$out/bin/$applet"; done
}

# The interpreter and the SDKs at the paths they have here, without what only their tests need. Modules are compiled ahead,
# by content: their times change when packed, and a pod could not write them.
python() {
  local executable venv base standard
  executable=$(tests/setup/python.sh)
  venv=${executable%/bin/python}
  base=$(readlink -f "$executable")
  standard=$("$executable" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
  install -D "$base" "$out$base"
  mkdir -p "$out$venv/bin" "$out$standard" "$out$venv/lib"
  cp "$venv/pyvenv.cfg" "$out$venv/"
  ln -s "$base" "$out$venv/bin/python"
  ln -s python "$out$venv/bin/python3"
  tar -C "$standard" --exclude={__pycache__,test,tests,idlelib,tkinter,ensurepip,lib2to3,site-packages,dist-packages,'config-*','*.a'} -c . |
    tar -C "$out$standard" -x
  tar -C "$venv/lib" --exclude={__pycache__,pip,setuptools,pkg_resources,pygments,_pytest} -c . | tar -C "$out$venv/lib" -x
  local modules
  mapfile -t modules < <(find "$out" -name '*.so*')
  libraries "$base" "${modules[@]}"
  "$executable" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$out" "$out$standard" "$out$venv/lib" >&2
}

shell
case $image in
  busybox) ;;
  redis) program redis-server redis-cli ;;
  prometheus) program prometheus ;;
  python) python ;;
  fake-provider)
    install "$3/$image" "$out/$image"
    libraries "$3/$image"
    ;;
  *) fail "unknown image '$image': one of busybox redis prometheus python fake-provider" ;;
esac
