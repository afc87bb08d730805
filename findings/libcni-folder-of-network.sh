#!/bin/sh
# libcni 1.3.1 (github.com/containernetworking/cni): what belongs to a network.
#
# One would guess: the plugins that its .conflist lists, as ever; folders in /etc/cni/net.d hold
#   nothing that counts (only *.conf, *.conflist and *.json directly in it did, and Calico keeps a
#   kubeconfig there).
# What happens: since 1.3 a folder *called like the network* is read too: each of its *.conf goes
#   behind the list's own plugins, unless the list says loadOnlyInlinedPlugins. A backup in
#   /etc/cni/net.d/k8s-pod-network/ joins the chain of every pod. The same list given as bytes,
#   without a file name, has its own plugins alone.
# Seen:
#   from the file: [bridge tuning]   from its bytes: [bridge]   with loadOnlyInlinedPlugins: [bridge]
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/net.d/pods" "$work/main"
list='"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge"}]'
echo "{$list}" >"$work/net.d/10-pods.conflist"
echo "{$list, \"loadOnlyInlinedPlugins\": true}" >"$work/net.d/20-pods.conflist"
echo '{"type": "tuning"}' >"$work/net.d/pods/kept-from-before.conf"
cat >"$work/main/main.go" <<'END'
package main

import (
	"fmt"
	"os"

	"github.com/containernetworking/cni/libcni"
)

func types(list *libcni.NetworkConfigList, err error) string {
	if err != nil {
		panic(err)
	}
	var found []string
	for _, plugin := range list.Plugins {
		found = append(found, plugin.Network.Type)
	}
	return fmt.Sprint(found)
}

func main() {
	first, second := os.Args[1]+"/10-pods.conflist", os.Args[1]+"/20-pods.conflist"
	data, _ := os.ReadFile(first)
	fmt.Println("from the file:", types(libcni.NetworkConfFromFile(first)))
	fmt.Println("from its bytes:", types(libcni.NetworkConfFromBytes(data)))
	fmt.Println("with loadOnlyInlinedPlugins:", types(libcni.NetworkConfFromFile(second)))
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/containernetworking/cni@v1.3.1 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . "$work/net.d" | tee "$work/seen"
cat >"$work/wanted" <<'END'
from the file: [bridge tuning]
from its bytes: [bridge]
with loadOnlyInlinedPlugins: [bridge]
END
cmp "$work/wanted" "$work/seen"
