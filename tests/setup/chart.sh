#!/usr/bin/env bash
# The chart as helm makes it: lint, rendered files, refused values, dashboards, and every object against an API server,
# which is also asked what calls the webhook. It starts one of its own; KUBECONFIG may name another that holds nothing yet
# (then helm and kubectl are yours too). LLMCACHE_UPDATE=1 writes the rendered files of tests/chart anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/setup/say.sh

chart=charts/llmcache
release=(llmcache "$chart" --namespace llmcache-system)
full=tests/chart/full-values.yaml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

own_server() {
  local settings setting
  settings=$(env -u KUBEBUILDER_ASSETS tests/setup/cluster/up.sh api)
  while read -r setting; do export "${setting?}"; done <<<"$settings"
  trap 'tests/setup/cluster/down.sh; rm -rf "$work"' EXIT
}

ok() { passed=$((passed + 1)); }
render() { helm template "${release[@]}" --kube-version 1.33.0 "$@"; }

lint() {
  helm lint --strict --quiet --kube-version 1.33.0 "$chart" && ok
  helm lint --strict --quiet --kube-version 1.33.0 "$chart" -f "$full" && ok
}

# Dashboards and definitions are files of their own and left out.
compare() {
  local name=$1 golden=tests/chart/$1.golden.yaml
  shift
  render --set crds.install=false --set dashboards.enabled=false "$@" >"$work/$name.yaml"
  if [ -n "${LLMCACHE_UPDATE:-}" ]; then cp "$work/$name.yaml" "$golden"; fi
  diff -u "$golden" "$work/$name.yaml" || fail "$golden differs from what the chart makes: LLMCACHE_UPDATE=1 tests/setup/chart.sh writes it anew"
  ok
}

# Each line of refused.tsv: values, then what the error must say.
refuse() {
  local values words said
  while IFS=$'\t' read -r values words; do
    if said=$(render -f - <<<"$values" 2>&1 >/dev/null); then fail "the chart takes $values"; fi
    grep -qF -- "$words" <<<"$said" || fail "refusing $values it does not say '$words': $said"
    ok
  done < <(grep -v '^#' tests/chart/refused.tsv)
  ! helm template "${release[@]}" --kube-version 1.32.9 >"$work/old" 2>&1 || fail 'the chart takes Kubernetes 1.32'
  grep -q 'kubeVersion' "$work/old" && ok
}

# By the types that Grafana publishes; built once per content.
dashboards() {
  local source=tests/setup/dashboards program
  program=$cache/dashboards-$(content_key "$source"/go.* "$source/main.go")
  [ -x "$program" ] || (cd "$source" && CGO_ENABLED=0 go build -trimpath -o "$program" .)
  "$program" "$chart"/dashboards/*.json && ok
}

# The Prometheus operator's definitions, of one version by its sum: what its kinds must look like.
monitoring_definitions() {
  local module=github.com/prometheus-operator/prometheus-operator version=v0.85.0 sum=h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=
  local kept=$cache/monitoring-$version said folder kind
  if [ ! -e "$kept/.complete" ]; then
    said=$(cd "$work" && go mod download -json "$module@$version")
    grep -qF "\"Sum\": \"$sum\"" <<<"$said" || fail "$module $version is not what it was"
    folder=$(sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$said")/example/prometheus-operator-crd
    mkdir -p "$kept"
    for kind in podmonitors servicemonitors prometheusrules; do cp "$folder/monitoring.coreos.com_$kind.yaml" "$kept/"; done
    touch "$kept/.complete"
  fi
  kubectl apply --server-side -f "$kept"
  kubectl wait --for condition=Established crd --all --timeout 30s
}

# dry_run NAME: every object of a file, strictly; a warning (Pod Security among them) fails too.
dry_run() {
  kubectl apply --server-side --dry-run=server --validate=strict -f "$work/$1" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; fail "the API server refuses what the chart makes ($1)"; }
  ! grep -q . "$work/err" || { cat "$work/err" >&2; fail "the API server warns about what the chart makes ($1)"; }
  say "$(wc -l <"$work/out") objects of $1 pass a server-side dry run"
  ok
}

against_the_server() {
  for namespace in llmcache-system llmcache-check monitoring shop docs; do kubectl create namespace "$namespace"; done
  # The test's pod is looked at with its account, which a dry run does not make.
  kubectl create serviceaccount llmcache-check --namespace llmcache-system
  kubectl label namespace llmcache-system pod-security.kubernetes.io/{enforce,warn}=restricted
  monitoring_definitions
  render >"$work/default"
  render -f "$full" >"$work/full"
  render --set 'invalidation.watchNamespaces={*}' --set certificates.mode=Provided >"$work/provided"
  helm install "${release[@]}" --dry-run=server -f "$full" | sed -n '/^NOTES:/,$p' | sed -n '/^apiVersion/,$p' >"$work/notes"
  for name in default full provided notes; do dry_run "$name"; done
}

# object KIND NAMESPACE ANNOTATIONS TEMPLATE_ANNOTATIONS: as kubectl takes it.
object() {
  local secure='{allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}'
  local metadata="{name: app, namespace: $2, annotations: $3}" pod="containers: [{name: app, image: \"app:1\", securityContext: $secure}]"
  local template="{metadata: {labels: {app: app}, annotations: $4}, spec: {$pod}}" selector='{matchLabels: {app: app}}'
  local job="{template: {metadata: {annotations: $4}, spec: {restartPolicy: Never, $pod}}}"
  case $1 in
    Pod) echo "{apiVersion: v1, kind: Pod, metadata: $metadata, spec: {$pod}}" ;;
    Deployment) echo "{apiVersion: apps/v1, kind: $1, metadata: $metadata, spec: {replicas: 0, selector: $selector, template: $template}}" ;;
    StatefulSet) echo "{apiVersion: apps/v1, kind: $1, metadata: $metadata, spec: {replicas: 0, serviceName: app, selector: $selector, template: $template}}" ;;
    DaemonSet) echo "{apiVersion: apps/v1, kind: $1, metadata: $metadata, spec: {selector: $selector, template: $template}}" ;;
    Job) echo "{apiVersion: batch/v1, kind: Job, metadata: $metadata, spec: $job}" ;;
    CronJob) echo "{apiVersion: batch/v1, kind: CronJob, metadata: $metadata, spec: {schedule: '@yearly', jobTemplate: {spec: $job}}}" ;;
  esac
}

# Nothing answers behind the webhook, so each call fails open and the API server counts it.
calls() { kubectl get --raw /metrics | sed -n 's/^apiserver_admission_webhook_fail_open_count{name="\(.*\)\.llmcache\.dev".*} \(.*\)/\1 \2/p' | sort; }

# expect ENTRY COMMAND…: which entry a command calls; - means none.
expect() {
  local entry=$1 before called
  shift
  before=$(calls)
  "$@" >/dev/null
  called=$(comm -13 <(echo "$before") <(calls) | cut -d ' ' -f 1)
  [ "${called:--}" = "$entry" ] || fail "$* calls '${called:-nothing}' instead of '$entry'"
  ok
}

create() { object "$@" | kubectl create --dry-run=server -f -; }

webhooks() {
  local entry kind namespace annotations template
  for namespace in plain labelled build; do kubectl create namespace "$namespace"; done
  kubectl label namespace labelled llmcache.dev/inject=enabled
  helm install "${release[@]}" --set 'webhook.excludedNamespaces={build}' >/dev/null
  until create Pod plain '{llmcache.dev/inject: enabled}' '{}' >/dev/null && calls | grep -q '^pods '; do sleep 0.1; done
  while IFS=$'\t' read -r entry kind namespace annotations template; do
    expect "$entry" create "$kind" "$namespace" "$annotations" "$template"
  done < <(grep -v '^#' tests/chart/webhooks.tsv)
  # Updates: what is annotated, what was, what keeps the copied key; a scale and a Job's update are nobody's.
  object Deployment plain '{}' '{}' | kubectl create -f - >/dev/null
  local on=(kubectl --namespace plain annotate deployment app)
  expect owners "${on[@]}" llmcache.dev/inject=enabled
  expect - kubectl --namespace plain scale deployment app --replicas 0
  expect owners "${on[@]}" llmcache.dev/inject-
  expect - "${on[@]}" other=x
  object Job plain '{}' '{}' | sed 's/spec: {template/spec: {suspend: true, template/' | kubectl create -f - >/dev/null
  expect - kubectl --namespace plain annotate job app llmcache.dev/inject=enabled
  ! kubectl get --raw /metrics | grep -q '^apiserver_admission_match_condition_evaluation_errors_total.*llmcache' || fail 'a match condition errs'
  helm uninstall llmcache --namespace llmcache-system
}

# What the operator does by name it may do by name, and not otherwise.
rights() {
  local as=(--as system:serviceaccount:llmcache-system:llmcache-operator) object
  helm install "${release[@]}" >/dev/null
  for object in 'mutatingwebhookconfigurations llmcache-operator' 'secrets llmcache-install' 'secrets llmcache-operator-tls'; do
    kubectl get ${object% *} --namespace llmcache-system --field-selector "metadata.name=${object#* }" "${as[@]}" >/dev/null || fail "the operator may not watch $object"
    ! kubectl get ${object% *} --namespace llmcache-system "${as[@]}" >/dev/null 2>&1 || fail "the operator may list all ${object% *}"
    ok
  done
  for object in 'get secrets --namespace shop' 'list configmaps --namespace shop' 'create pods --namespace shop' 'update deployments --namespace shop' 'patch llmcachepolicies --namespace shop'; do
    ! kubectl auth can-i $object "${as[@]}" >/dev/null || fail "the operator may $object"
    ok
  done
  helm uninstall llmcache --namespace llmcache-system
}

# Nothing runs pods here: the test's pod is told that it has succeeded. Around it: its rights, and that nothing stays.
helm_test() {
  local account=system:serviceaccount:llmcache-system:llmcache-check run answer
  kubectl delete namespace llmcache-check
  kubectl delete serviceaccount llmcache-check --namespace llmcache-system
  helm install "${release[@]}" >/dev/null
  for run in first second; do
    helm test llmcache --namespace llmcache-system --timeout 60s >"$work/test" 2>&1 &
    until kubectl get pod llmcache-check --namespace llmcache-system >/dev/null 2>&1; do kill -0 $! || fail "the $run helm test ends early: $(cat "$work/test")"; done
    kubectl auth can-i create pods --namespace llmcache-check --as "$account" || fail 'the test may not create its pod'
    for answer in 'create pods --namespace shop' 'get pods --namespace llmcache-check' 'create deployments --namespace llmcache-check' 'get secrets --namespace llmcache-system'; do
      ! kubectl auth can-i $answer --as "$account" >/dev/null || fail "the test may $answer"
    done
    kubectl patch pod llmcache-check --namespace llmcache-system --subresource status -p '{"status": {"phase": "Succeeded"}}'
    wait $! || fail "the $run helm test fails: $(cat "$work/test")"
    ! kubectl get namespace llmcache-check 2>/dev/null || fail 'the namespace of the test stays'
    ! kubectl get serviceaccount,pod llmcache-check --namespace llmcache-system 2>/dev/null || fail 'something of the test stays'
    ok
  done
  helm uninstall llmcache --namespace llmcache-system
}

# What an apply must leave alone, and what must outlive the release.
live() {
  local webhook=mutatingwebhookconfiguration/llmcache-operator bundle=Y2E= kept definitions
  definitions=$(ls crds/*.yaml | wc -l)
  helm install "${release[@]}" >/dev/null
  kubectl patch "$webhook" --type json -p "[{\"op\": \"test\", \"path\": \"/webhooks/0/name\", \"value\": \"pods.llmcache.dev\"}, {\"op\": \"add\", \"path\": \"/webhooks/0/clientConfig/caBundle\", \"value\": \"$bundle\"}]"
  helm upgrade "${release[@]}" --set operator.replicas=3 >/dev/null
  kept=$(kubectl get "$webhook" -o 'jsonpath={.webhooks[0].clientConfig.caBundle}')
  [ "$kept" = "$bundle" ] || fail "an upgrade lost the caBundle: '$kept'"
  ok
  helm uninstall llmcache --namespace llmcache-system
  ! kubectl get "$webhook" 2>/dev/null || fail 'an uninstall leaves the webhook'
  [ "$(kubectl get crd -o name | grep -c 'llmcache.dev$')" -eq "$definitions" ] || fail 'an uninstall takes the definitions with it'
  ok
  helm install "${release[@]}" >/dev/null
  helm uninstall llmcache --namespace llmcache-system
  ok
}

[ -n "${KUBECONFIG:-}" ] || own_server
lint
compare default
compare full -f "$full"
refuse
dashboards
against_the_server
webhooks
rights
helm_test
live
printf '%d passed, 0 failed\n' "$passed"
