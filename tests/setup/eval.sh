#!/usr/bin/env bash
# eval.sh [DATA]: how good the semantic cache is, as tables on stdout: our own question pairs, simulated deployments and,
# with a folder of data, labelled pairs and a labelled stream through the real proxy. What is slow says so on stderr.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

data=${1:-}
corpora=sidecar/semantic/corpora
say "building kubectl-llmcache, the stream and the simulation (release, kept in $CARGO_TARGET_DIR)"
build=(cargo build --release ${LLMCACHE_CARGO_FLAGS:-})
"${build[@]}" -p llmcache-cli -p llmcache-tests --bin kubectl-llmcache --bin eval
"${build[@]}" -p llmcache-semantic --example evidence_simulation
programs=$CARGO_TARGET_DIR/release
LLMCACHE_MODEL_DIR=$(tests/setup/model.sh)
export LLMCACHE_MODEL_DIR

# pairs TITLE: precision and recall of the pairs on stdin.
pairs() {
  printf '\n## %s\n' "$1"
  "$programs/kubectl-llmcache" eval --pairs -
}

pairs 'Own pairs, held out' < <(cat "$corpora"/{paraphrases,lookalikes}-held-out.jsonl)
printf '\n## Simulated deployments\n'
"$programs/examples/evidence_simulation"
if [ -z "$data" ]; then
  say 'no DATA: labelled pairs and the labelled stream are left out'
  exit
fi
pairs 'question-pairs-dev' < <(gzip -dc "$data/question-pairs-dev.jsonl.gz")
printf '\n## banking-intents as a stream\n'
"$programs/eval" --data "$data"
