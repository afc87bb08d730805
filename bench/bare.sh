#!/usr/bin/env bash
# The yardstick: bare hosts to Kubernetes nodes by one shell script, as fast as we can write it.
#
# What it leaves out is what makes it fast to write: it looks at nothing before, checks nothing
# after but Ready, repairs nothing, takes the same token for all nodes, lets the cluster approve
# every request, copies one kube-proxy key to all, and starts from scratch each time.
#
#   bench/bare.sh pack LAB WORK                  make one compressed archive for all hosts, in WORK
#   bench/bare.sh deploy LAB WORK NAME=ADDRESS…  make these hosts nodes; log in to them as root
#
# LAB is a folder made by `inv lab.up`. Packing is a command of its own, to be left out of the
# time: fabnode keeps its archives packed as well.
set -euo pipefail

what=$1 lab=$(cd "$2" && pwd) work=$(cd "$3" && pwd)
shift 3

setting() { sed -n "s/^  $1: //p" "$lab/cluster.yml" | head -n 1; }
apiserver=$(setting apiserver)
cluster_dns=$(setting dns_address)
pod_cidr=$(setting pod_cidr)
sandbox=$(setting sandbox_image)
kubectl() { "$lab/bin/kubectl" --kubeconfig "$lab/admin.kubeconfig" "$@"; }
ssh_to() {
    ssh -i "$lab/ssh/id_ed25519" -o IdentitiesOnly=yes -o UserKnownHostsFile="$lab/known_hosts" \
        -o StrictHostKeyChecking=yes -o LogLevel=ERROR -o Compression=no -o ControlPath=none \
        -c aes128-gcm@openssh.com "root@$1" "$2"
}

kubeconfig() { # kubeconfig USER-FIELDS
    printf '%s\n' "apiVersion: v1" "kind: Config" "current-context: c" \
        "clusters: [{name: c, cluster: {server: '$apiserver', certificate-authority: /etc/kubernetes/ca.pem}}]" \
        "contexts: [{name: c, context: {cluster: c, user: u}}]" \
        "users: [{name: u, user: {$1}}]"
}

unit() { # unit NAME COMMAND EXTRA
    mkdir -p "$work/root/etc/systemd/system"
    printf '%s\n' "[Unit]" "After=network.target" "[Service]" "ExecStart=$2" "Restart=always" \
        "RestartSec=1" "Delegate=yes" "KillMode=process" "LimitNOFILE=1048576" "${3:-}" \
        "[Install]" "WantedBy=multi-user.target" >"$work/root/etc/systemd/system/$1.service"
}

random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

pack() {
    token="$(random 3).$(random 8)"
    (umask 077 && echo "$token" >"$work/token")

    ## what every host gets, the same for all of them
    mkdir -p "$work"/root/{usr/local/bin,opt/cni/bin,opt/images,etc/containerd,etc/kubernetes,etc/sysctl.d}
    ln -s "$lab"/artifacts/bin/* "$work/root/usr/local/bin/"
    ln -s "$lab"/artifacts/cni/* "$work/root/opt/cni/bin/"
    ln -s "$lab"/artifacts/images/*.tar "$work/root/opt/images/"
    cp "$lab/pki/ca.pem" "$work/root/etc/kubernetes/ca.pem"
    echo "net.ipv4.ip_forward = 1" >"$work/root/etc/sysctl.d/90-kubernetes.conf"
    cat >"$work/root/etc/containerd/config.toml" <<END
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '$sandbox'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    BinaryName = '/usr/local/bin/runc'
END
    cat >"$work/root/etc/kubernetes/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.pem}}
authorization: {mode: Webhook}
clusterDNS: [$cluster_dns]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
rotateCertificates: true
failSwapOn: false
failCgroupV1: false
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
END
    cat >"$work/root/etc/kubernetes/kube-proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.kubeconfig}
clusterCIDR: $pod_cidr
mode: iptables
conntrack: {maxPerCore: 0, min: 0}
END
    kubeconfig "token: '$token'" >"$work/root/etc/kubernetes/bootstrap.kubeconfig"
    kubeconfig "client-certificate: /etc/kubernetes/proxy.pem, client-key: /etc/kubernetes/proxy-key.pem" \
        >"$work/root/etc/kubernetes/kube-proxy.kubeconfig"
    {
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/root/etc/kubernetes/proxy-key.pem"
        openssl req -new -key "$work/root/etc/kubernetes/proxy-key.pem" -subj /CN=system:kube-proxy -out "$work/proxy.csr"
        openssl x509 -req -in "$work/proxy.csr" -CA "$lab/pki/ca.pem" -CAkey "$lab/pki/ca-key.pem" \
            -set_serial "0x$(random 8)" -days 365 \
            -extfile <(echo extendedKeyUsage=clientAuth) -out "$work/root/etc/kubernetes/proxy.pem"
    } >"$work/openssl.log" 2>&1 || {
        cat "$work/openssl.log" >&2
        exit 1
    }
    unit containerd "/usr/local/bin/containerd" "Type=notify"
    unit kubelet "/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --bootstrap-kubeconfig=/etc/kubernetes/bootstrap.kubeconfig --hostname-override=NAME --node-ip=ADDRESS"
    unit kube-proxy "/usr/local/bin/kube-proxy --config=/etc/kubernetes/kube-proxy.yaml --hostname-override=NAME"

    ## one archive, compressed once: what is needed first comes first, a marker behind each part
    (
        cd "$work/root"
        mkdir -p opt/images
        chmod 0600 etc/kubernetes/{bootstrap.kubeconfig,proxy-key.pem}
        touch opt/images/.{binaries,pause,calico-cni,calico-node,calico-kube-controllers,busybox}
        parts=(etc opt/cni usr opt/images/.binaries)
        for image in pause calico-cni calico-node calico-kube-controllers busybox; do
            parts+=("opt/images/$image"-*.tar "opt/images/.$image")
        done
        umask 077
        tar -ch --owner=0 --group=0 "${parts[@]}" | zstd -q -T0 -"${LEVEL:-3}" >"$work/payload.tar.zst"
    )
    rm -rf "$work/root"
}

# What each host does: services start as soon as what they need has come out of the stream.
node_script=$(
    cat <<'END'
set -eu
cd /
{
    while [ ! -e /opt/images/.binaries ]; do sleep 0.05; done
    sed -i "s/NAME/$1/; s/ADDRESS/$2/" /etc/systemd/system/kube*.service
    sysctl -qp /etc/sysctl.d/90-kubernetes.conf
    systemctl daemon-reload
    systemctl -q enable containerd kubelet kube-proxy
    systemctl start containerd
    systemctl start --no-block kube-proxy
    for image in pause calico-cni calico-node calico-kube-controllers busybox; do
        while [ ! -e "/opt/images/.$image" ]; do sleep 0.05; done
        CONTAINERD_SUPPRESS_DEPRECATION_WARNINGS=1 ctr -n k8s.io images import /opt/images/$image-*.tar >/dev/null
        [ $image != calico-cni ] || systemctl start --no-block kubelet
    done
    rm -rf /opt/images
} &
zstd -dc | tar -x --no-overwrite-dir
wait $!
END
)

since() { echo "$(date +%s.%N) $began" | awk '{ printf "%.1f", $1 - $2 }'; }

deploy() {
    began=$(date +%s.%N)
    IFS=. read -r id secret <"$work/token"
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

    ## the cluster's side, beside the hosts': token, roles, Calico
    {
        kubectl apply --server-side -f - >/dev/null <<END
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-$id, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData: {token-id: "$id", token-secret: "$secret", usage-bootstrap-authentication: "true"}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: bare-bootstrap},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-bootstrapper"},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: bare-approve},
 roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient"},
 subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]}
END
        sed -e 's|# - name: CALICO_IPV4POOL_CIDR|- name: CALICO_IPV4POOL_CIDR|' \
            -e "s|#   value: \"192.168.0.0/16\"|  value: \"$pod_cidr\"|" "$lab/artifacts/calico.yaml" |
            kubectl apply --server-side -f - >/dev/null
    } &

    ## the hosts, all at once
    nodes=()
    hosts=()
    for host in "$@"; do
        nodes+=("node/${host%%=*}")
        ssh_to "${host#*=}" "sh -c $(printf %q "$node_script") bare ${host%%=*} ${host#*=}" <"$work/payload.tar.zst" &
        hosts+=($!)
    done

    for node in "${nodes[@]}"; do
        kubectl wait --for=create --timeout=180s "$node" >/dev/null
    done
    kubectl wait --for=condition=Ready --timeout=180s "${nodes[@]}" >/dev/null
    echo "ready $(since)"
    kubectl -n kube-system rollout status daemonset/calico-node --timeout=180s >/dev/null
    echo "calico $(since)"
    for host in "${hosts[@]}"; do
        wait "$host" # its exit code counts
    done
    wait
}

"$what" "$@"
