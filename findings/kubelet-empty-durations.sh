#!/bin/sh
# k8s.io/apimachinery 0.37.2: metav1.Duration, the type of every time span of a KubeletConfiguration.
#
# One would guess: a key without a value (`syncFrequency:`) is as good as left out, as it is for the
#   numbers, texts and booleans beside it, and for metav1.Time.
# What happens: it is an error, "invalid duration". And the other way round: marshalled, a span
#   that nobody set is "0s" in spite of omitempty, so a configuration that goes through Go's types
#   names them all; the kubelet takes 0s for "the default", which means that zero can't be said.
# Seen:
#   number: ""  text: ""  time: ""  duration: time: invalid duration ""
#   marshalled: {"span":"0s"}
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/main"
cat >"$work/main/main.go" <<'END'
package main

import (
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

type fields struct {
	Number int32           `json:"number,omitempty"`
	Text   string          `json:"text,omitempty"`
	Time   *metav1.Time    `json:"time,omitempty"`
	Span   metav1.Duration `json:"span,omitempty"`
}

func main() {
	for _, key := range []string{"number", "text", "time", "span"} {
		fmt.Println(key, yaml.Unmarshal([]byte(key+":\n"), &fields{}))
	}
	made, _ := json.Marshal(fields{})
	fmt.Println(string(made))
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get k8s.io/apimachinery/pkg/apis/meta/v1@v0.37.2 sigs.k8s.io/yaml@v1.6.0 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . | tee "$work/seen"
[ "$(grep -c '<nil>' "$work/seen")" = 3 ]
grep -q '^span .*invalid duration ""' "$work/seen"
grep -qx '{"span":"0s"}' "$work/seen"
