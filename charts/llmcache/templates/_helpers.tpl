{{/* Names are fixed, whatever the release is called: one install per cluster. */}}
{{- define "llmcache.labels" -}}
{{ include "llmcache.selector" . }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: llmcache
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (.root.Chart.Version | replace "+" "_") }}
{{- end }}

{{- define "llmcache.selector" -}}
app.kubernetes.io/name: llmcache
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* repository, then the digest if there is one, else the tag. */}}
{{- define "llmcache.image" -}}
{{- if .image.digest -}}
{{ printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{ printf "%s:%s" .image.repository (.image.tag | default .default) }}
{{- end }}
{{- end }}

{{- define "llmcache.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What the restricted Pod Security Standard asks of a pod, and of each container. */}}
{{- define "llmcache.podSecurity" -}}
runAsNonRoot: true
runAsUser: 64535
runAsGroup: 64535
fsGroup: 64535
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "llmcache.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "llmcache.scheduling" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The file the operator reads; it refuses a key it does not know. */}}
{{- define "llmcache.settings" -}}
service: llmcache-operator
sidecar:
  image: {{ include "llmcache.image" (dict "image" .Values.sidecar.image "default" .Chart.AppVersion) | quote }}
  imagePullPolicy: {{ .Values.sidecar.image.pullPolicy }}
  logLevel: {{ .Values.sidecar.logLevel }}
  resources: {{ .Values.sidecar.resources | quote }}
certificates:
  mode: {{ .Values.certificates.mode }}
allowedUpstreams:
  {{- toYaml .Values.allowedUpstreams | nindent 2 }}
{{- with .Values.defaults }}
defaults:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.storeClasses }}
storeClasses:
  {{- toYaml . | nindent 2 }}
{{- end }}
redis:
  enabled: {{ .Values.redis.enabled }}
invalidation:
  watchNamespaces:
    {{- toYaml .Values.invalidation.watchNamespaces | nindent 4 }}
{{- with .Values.prices }}
prices:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Secrets of store classes, a JSON list: the operator may read these and no others. */}}
{{- define "llmcache.storeSecrets" -}}
{{- $names := list }}
{{- range $class := .Values.storeClasses }}
  {{- $names = append $names (dig "redis" "secretName" "" $class) }}
  {{- $names = append $names (dig "redis" "tls" "caSecret" "" $class) }}
  {{- $names = append $names (dig "qdrant" "secretName" "" $class) }}
{{- end }}
{{- $names | compact | uniq | sortAlpha | toJson }}
{{- end }}

{{/* Ports of stores outside this chart, a JSON list; sentinels name a master that listens where Redis does. */}}
{{- define "llmcache.storePorts" -}}
{{- $ports := list }}
{{- range $class := .Values.storeClasses }}
  {{- range (dig "redis" "addresses" list $class) }}
    {{- $ports = append $ports (splitList ":" . | last | int) }}
  {{- end }}
  {{- if eq (dig "redis" "mode" "" $class) "Sentinel" }}
    {{- $ports = append $ports 6379 }}
  {{- end }}
  {{- with (dig "qdrant" "url" "" $class) }}
    {{- $host := (urlParse .).host }}
    {{- $ports = append $ports (ternary (splitList ":" $host | last | int) (ternary 443 80 (hasPrefix "https:" .)) (contains ":" $host)) }}
  {{- end }}
{{- end }}
{{- $ports | uniq | toJson }}
{{- end }}

{{- define "llmcache.metricsFrom" -}}
{{- if .Values.networkPolicy.metricsNamespaces }}
- namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson .Values.networkPolicy.metricsNamespaces }}
{{- else }}
- namespaceSelector: {}
{{- end }}
{{- end }}

{{/* For app namespaces that deny by default; NOTES.txt prints it. */}}
{{- define "llmcache.appNetworkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: llmcache
spec:
  podSelector:
    matchLabels:
      llmcache.dev/injected: "true"
  policyTypes: [Ingress, Egress]
  ingress:
    - from:
        {{- include "llmcache.metricsFrom" . | trim | nindent 8 }}
      ports:
        - {protocol: TCP, port: 15490}
  egress:
    # DNS; 5353 is where some distributions' DNS pods listen.
    - ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
        - {protocol: UDP, port: 5353}
        - {protocol: TCP, port: 5353}
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ .Release.Namespace }}
          podSelector:
            matchLabels:
              {{- include "llmcache.selector" (dict "component" "operator") | nindent 14 }}
      ports:
        - {protocol: TCP, port: 15443}
    {{- if .Values.redis.enabled }}
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ .Release.Namespace }}
          podSelector:
            matchLabels:
              {{- include "llmcache.selector" (dict "component" "redis") | nindent 14 }}
      ports:
        - {protocol: TCP, port: 6379}
    {{- end }}
    {{- with include "llmcache.storePorts" . | fromJsonArray }}
    - ports:
        {{- range . }}
        - {protocol: TCP, port: {{ . }}}
        {{- end }}
    {{- end }}
{{- end }}

{{/* What the schema cannot say in words; each names the value and the fix. */}}
{{- define "llmcache.check" -}}
{{- $redis := .Values.redis }}
{{- if $redis.enabled }}
  {{- if not $redis.image.repository }}
    {{- fail "redis.image.repository: empty while redis.enabled is true; name the image, for instance redis" }}
  {{- end }}
  {{- if not (or $redis.image.tag $redis.image.digest) }}
    {{- fail "redis.image.tag: empty like redis.image.digest while redis.enabled is true; give one of them" }}
  {{- end }}
  {{- if dig "default" "redis" "" .Values.storeClasses }}
    {{- fail "storeClasses.default.redis: class default is the chart's own Redis while redis.enabled is true; use another class name, or redis.enabled=false" }}
  {{- end }}
  {{- if eq .Values.certificates.mode "Provided" }}
    {{- fail "redis.enabled: the chart's own Redis needs the operator's CA; set certificates.mode=Self, or name your own Redis in storeClasses" }}
  {{- end }}
{{- end }}
{{- range $name, $class := .Values.storeClasses }}
  {{- with $class.redis }}
    {{- if and (dig "tls" "caSecret" "" .) (not (dig "tls" "enabled" false .)) }}
      {{- fail (printf "storeClasses.%s.redis.tls.caSecret: with TLS off; set tls.enabled, or leave caSecret out" $name) }}
    {{- end }}
    {{- if and (eq (.credentials | default "shared") "perNamespace") (not .secretName) }}
      {{- fail (printf "storeClasses.%s.redis.secretName: needed with credentials perNamespace; name the Secret with the login of an admin" $name) }}
    {{- end }}
    {{- if and (eq (.mode | default "Single") "Single") (gt (len .addresses) 1) }}
      {{- fail (printf "storeClasses.%s.redis.addresses: %d with mode Single; write one, or mode Cluster" $name (len .addresses)) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
