#!/bin/sh
# k8s.io/kubernetes 1.37.2: pkg/kubelet/certificate/bootstrap, by which a kubelet joins.
#
# One would guess: the kubeconfig that a kubelet writes as it joins is its bootstrap kubeconfig with the
#   certificate in place of the token; what that says of the cluster holds afterwards too.
# What happens: of the cluster it takes over the URL and the CA. `tls-server-name` and `proxy-url` are
#   left out, without a word. So a node joins through a proxy, or by a name that stands in no DNS, and
#   can't reach its apiserver any more with what it wrote itself.
# Seen:
#   server: https://127.0.0.1:6444
#   tls-server-name: missing  proxy-url: missing
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/main"
cat >"$work/bootstrap.kubeconfig" <<'END_OF_FILE'
apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster:
    server: https://127.0.0.1:6444
    tls-server-name: kubernetes.default.svc
    proxy-url: http://proxy.example:3128
users:
- name: joining
  user: {token: abcdef.0123456789abcdef}
contexts:
- name: default
  context: {cluster: lab, user: joining}
current-context: default
END_OF_FILE
cat >"$work/main/main.go" <<'END_OF_FILE'
package main

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/kubelet/certificate/bootstrap"
)

func value(text string) string {
	if text == "" {
		return "missing"
	}
	return text
}

func main() {
	folder := os.Args[1]
	before, written := folder+"/bootstrap.kubeconfig", folder+"/kubeconfig"
	if _, _, err := bootstrap.LoadClientConfig(klog.Background(), written, before, folder); err != nil {
		panic(err)
	}
	for _, path := range []string{before, written} {
		found, err := clientcmd.LoadFromFile(path)
		if err != nil {
			panic(err)
		}
		cluster := found.Clusters[found.Contexts[found.CurrentContext].Cluster]
		fmt.Println("server:", cluster.Server)
		fmt.Println("tls-server-name:", value(cluster.TLSServerName), " proxy-url:", value(cluster.ProxyURL))
	}
}
END_OF_FILE
cd "$work/main"
export GOFLAGS="-mod=mod -p=1"
go mod init finding >/dev/null 2>&1
go mod edit -require=k8s.io/kubernetes@v1.37.2
# Its own parts have no release in its go.mod: these are the ones published with it.
of=$(go mod download -json k8s.io/kubernetes@v1.37.2 | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
awk '$2 == "v0.0.0" { print $1 }' "$of" | while read -r part; do
    go mod edit -replace="$part=$part@v0.37.2"
done
go run . "$work" | tee "$work/seen"
[ "$(grep -cx 'server: https://127.0.0.1:6444' "$work/seen")" = 2 ]
[ "$(grep -cx 'tls-server-name: kubernetes.default.svc  proxy-url: http://proxy.example:3128' "$work/seen")" = 1 ]
[ "$(grep -cx 'tls-server-name: missing  proxy-url: missing' "$work/seen")" = 1 ]
