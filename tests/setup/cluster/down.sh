#!/usr/bin/env bash
# Ends the cluster that up.sh started in the place CLUSTER_INDEX (default 0), and removes all it left on this machine.
# Where its folder has a file `keep-logs`, its logs go to the folder that the file names.
set -euo pipefail
source "$(dirname "$0")/env.sh"
[ -d "$CLUSTER_DIR" ] || exit 0

# The lock is free when no process of the cluster lives; then its number may be another's by now.
if ! flock -n "$CLUSTER_DIR" true; then
  pid=$(cat "$CLUSTER_DIR/pid" 2>/dev/null) || fail "the cluster in place $CLUSTER_INDEX is just being started: try again"
  if [ "$(cat "$CLUSTER_DIR/mode")" = node ]; then
    pid=$(tr -d ' ' <"/proc/$pid/task/$pid/children") # process 1 of the node: all others end with it
  fi
  [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
  flock -w 20 "$CLUSTER_DIR" true || fail "the cluster in place $CLUSTER_INDEX does not end: see $CLUSTER_DIR/logs"
fi
sweep
