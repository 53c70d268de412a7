#!/usr/bin/env bash
# run.sh api|node: started by up.sh; runs the components of one cluster and ends when one of them does, they with it.
# In node mode it is process 1 of its own PID, network and mount namespaces, so that its end ends every container and
# undoes every mount, interface and rule.
set -euo pipefail
source "$(dirname "$0")/env.sh"
mode=$1
use "$mode"
cd "$CLUSTER_DIR"
trap 'exit 0' TERM INT

service_cidr=10.96.0.0/16 dns_ip=10.96.0.10 pod_cidr=10.244.0.0/24
etcd_url=http://127.0.0.1:$((API_PORT + 1)) etcd_peer_url=http://127.0.0.1:$((API_PORT + 2))

# start NAME ARGUMENT…: a component, which logs to logs/NAME.log.
started=0
start() {
  setpriv --pdeathsig KILL "$@" >"logs/$1.log" 2>&1 </dev/null &
  started=$((started + 1))
}

# await COMMAND…: until it succeeds, or a component has ended.
await() {
  until "$@" >/dev/null 2>&1; do
    [ "$(jobs -pr | wc -l)" -eq "$started" ] || fail 'a component ended; see the logs'
    sleep 0.1
  done
}

# kubeconfig FILE TOKEN
kubeconfig() {
  install -m 600 /dev/null "$1"
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: llmcache, cluster: {server: "https://$NODE_IP:$API_PORT", certificate-authority: "$CLUSTER_DIR/pki/apiserver.crt"}}]
users: [{name: user, user: {token: $2}}]
contexts: [{name: llmcache, context: {cluster: llmcache, user: user}}]
current-context: llmcache
YAML
}

# Hides what the components would write to, or change, outside the cluster's folder.
prepare_node() {
  mount --make-rshared /
  for dir in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$dir"; done
  mkdir sysctl
  for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=sysctl/$(basename "${setting%=*}")
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}" # the kubelet finds the value it wants
  done
  hostname node
  ip link set lo up
  until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
  ip addr add "$NODE_IP/24" dev eth0
  ip link set eth0 up
  ip route add default via "${NODE_IP%.*}.1"
  sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
  prepare_cgroups
}

prepare_cgroups() {
  local folder
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    # Refused below the root of a container, where processes may not stand beside a group that has controllers.
    echo '+cpu +cpuset +memory +pids' >/sys/fs/cgroup/cgroup.subtree_control ||
      fail 'cgroup v2 gives no controllers away: start the node where /sys/fs/cgroup is the root of the hierarchy'
  fi
  for folder in $(cgroups); do mkdir -p "$folder" 2>/dev/null || true; done
}

make_identities() {
  local admin_token node_token
  openssl genrsa -out pki/sa.key 2048 2>/dev/null
  openssl rsa -in pki/sa.key -pubout -out pki/sa.pub 2>/dev/null
  admin_token=$(openssl rand -hex 16) node_token=$(openssl rand -hex 16)
  cat >pki/tokens.csv <<CSV
$admin_token,admin,admin,system:masters
$node_token,system:node:node,node,system:nodes
CSV
  kubeconfig kubeconfig "$admin_token"
  kubeconfig pki/kubelet.kubeconfig "$node_token"
}

start_api() {
  make_identities
  start etcd --data-dir etcd --unsafe-no-fsync --log-level warn \
    --listen-client-urls "$etcd_url" --advertise-client-urls "$etcd_url" \
    --listen-peer-urls "$etcd_peer_url" --initial-advertise-peer-urls "$etcd_peer_url" \
    --initial-cluster "default=$etcd_peer_url"

  # 127.0.0.1 is no valid address of an endpoint; without controllers nobody makes the account that pods need.
  local own=(--bind-address 127.0.0.1 --endpoint-reconciler-type none) controllers
  controllers=$(command -v kube-controller-manager || true)
  if [ "$mode" = node ]; then own=(--bind-address 0.0.0.0); fi
  if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ "$mode" = api ]; then
    controllers=$(PATH=$KUBEBUILDER_ASSETS command -v kube-controller-manager || true)
  fi
  if [ -z "$controllers" ]; then own+=(--disable-admission-plugins ServiceAccount); fi
  start kube-apiserver --etcd-servers "$etcd_url" --cert-dir pki "${own[@]}" \
    --advertise-address "$NODE_IP" --secure-port "$API_PORT" \
    --service-cluster-ip-range "$service_cidr" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-signing-key-file pki/sa.key --service-account-key-file pki/sa.pub \
    --token-auth-file pki/tokens.csv --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction --allow-privileged \
    --kubelet-preferred-address-types InternalIP \
    --audit-policy-file "$here/audit.yaml" --audit-log-path logs/audit.log
  await test -s pki/apiserver.crt
  await kubectl get --raw /readyz
  [ -z "$controllers" ] || start kube-controller-manager --kubeconfig kubeconfig --leader-elect=false --secure-port 0 \
    --service-account-private-key-file pki/sa.key --root-ca-file pki/apiserver.crt \
    --flex-volume-plugin-dir flexvolume
}

configure_node() {
  mkdir -p cni kubelet
  cat >containerd.toml <<TOML
version = 2
root = "$CLUSTER_DIR/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$CONTAINERD_ADDRESS"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$CLUSTER_DIR/cni"
TOML
  cat >cni/10-pods.conflist <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_cidr"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  # A full disk of the machine would taint the node or delete images that cannot be pulled again: no eviction.
  cat >kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /llmcache-$CLUSTER_INDEX
containerRuntimeEndpoint: unix://$CONTAINERD_ADDRESS
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDomain: cluster.local
clusterDNS: [$dns_ip]
resolvConf: ""
oomScoreAdj: 0
failSwapOn: false
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
imageGCHighThresholdPercent: 100
podLogsDir: $CLUSTER_DIR/logs/pods
volumePluginDir: $CLUSTER_DIR/kubelet/plugins
YAML
}

start_node() {
  configure_node
  start containerd --config containerd.toml
  await ctr version
  ctr images import "$CLUSTER_BIN/pause.tar"
  ctr images import "$CLUSTER_BIN/coredns.tar"
  start kubelet --config kubelet.yaml --kubeconfig pki/kubelet.kubeconfig --root-dir "$CLUSTER_DIR/kubelet" \
    --cert-dir kubelet/pki --hostname-override node --node-ip "$NODE_IP"
  start kube-scheduler --kubeconfig kubeconfig --leader-elect=false --secure-port 0
  start kube-proxy --kubeconfig kubeconfig --hostname-override node --proxy-mode iptables \
    --cluster-cidr "$pod_cidr" --conntrack-max-per-core 0 --oom-score-adj 0
  await kubectl wait --for condition=Ready node/node --timeout 60s
  kubectl apply -f "$here/coredns.yaml"
  kubectl -n kube-system rollout status deployment/coredns --timeout 60s
}

if [ "$mode" = node ]; then prepare_node; fi
start_api
if [ "$mode" = node ]; then start_node; fi
touch ready
wait -n || true
fail 'a component ended; see the logs'
