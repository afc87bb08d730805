#!/bin/sh
# PyYAML 6.0.3 writes, sigs.k8s.io/yaml 1.6.0 (what kubectl, kubelet and client-go read with) reads.
#
# One would guess: safe_dump() quotes every string that could be taken for something else, so what
#   was a string in Python is one for Kubernetes.
# What happens: PyYAML quotes what *it* would take for something else, by YAML 1.1, where an exponent
#   needs a dot and a sign, octals have no "0o", and "y" is no boolean to its resolver. The Go side
#   takes all of these. About one short commit hash in a hundred looks like 1234e56; as a
#   label it makes the manifest invalid, as a value in a ConfigMap read into a struct it is another.
# Seen:
#   '12e4' -> 120000   '5e-3' -> 0.005   '0o17' -> 15   '08' -> 8   'y' -> true   'N' -> false
#   (quoted by PyYAML and safe: 'on', '1:30', '0x1f', '077', '1_000')
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check PyYAML==6.0.3
mkdir "$work/main"
cat >"$work/main/main.go" <<'END'
package main

import (
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/yaml"
)

func main() {
	text, _ := io.ReadAll(os.Stdin)
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(asJSON))
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get sigs.k8s.io/yaml@v1.6.0 >/dev/null 2>&1
"$work/venv/bin/python" -c '
import yaml
print(yaml.safe_dump(["12e4", "5e-3", "0o17", "08", "y", "N", "on", "1:30", "0x1f", "077", "1_000"]))
' | GOFLAGS="-mod=mod -p=1" go run . | tee "$work/seen"
[ "$(cat "$work/seen")" = '[120000,0.005,15,8,true,false,"on","1:30","0x1f","077","1_000"]' ]
