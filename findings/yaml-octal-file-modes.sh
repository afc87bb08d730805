#!/bin/sh
# File modes in a manifest (`defaultMode: 0400`), as read by sigs.k8s.io/yaml 1.6.0, which kubectl and the
# apiserver have, PyYAML 6.0.3, ruamel.yaml 0.19.1 and, on top of that, hikaru-model-28 1.1.0
# (hikaru-core 1.1.2).
#
# One would guess: a library for Kubernetes' objects, and YAML readers in general, see the number that
#   Kubernetes sees; of the two ways to write octal, 0o400 is the safe one.
# What happens: ruamel.yaml follows YAML 1.2, where 0400 is four hundred, which hikaru then writes
#   as 400: mode 0620, where a program that insists on private files (ssh, a database) does not start;
#   0777 becomes 1411. And PyYAML takes 0o400 for a text, which the API refuses.
#   No way of writing octal is one number for all of them; decimal (256) is.
# Seen:             0400   0o400
#   sigs.k8s.io     256    256
#   PyYAML          256    "0o400"
#   ruamel.yaml     400    256
#   hikaru writes   400    256
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check PyYAML==6.0.3 ruamel.yaml==0.19.1 \
    hikaru-core==1.1.2 hikaru-model-28==1.1.0

for mode in 0400 0o400; do
    cat >"$work/$mode.yaml" <<END
apiVersion: v1
kind: Pod
metadata: {name: n}
spec:
  containers: [{name: c, image: i}]
  volumes:
    - name: v
      secret: {secretName: s, defaultMode: $mode}
END
done

mkdir "$work/main"
cat >"$work/main/main.go" <<'END'
package main

import (
	"fmt"
	"os"
	"regexp"

	"sigs.k8s.io/yaml"
)

var mode = regexp.MustCompile(`"defaultMode":([^,}]*)`)

func main() {
	for _, path := range os.Args[1:] {
		text, _ := os.ReadFile(path)
		found, err := yaml.YAMLToJSON(text)
		if err != nil {
			panic(err)
		}
		fmt.Printf("sigs.k8s.io %s\n", mode.FindSubmatch(found)[1])
	}
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get sigs.k8s.io/yaml@v1.6.0 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . ../0400.yaml ../0o400.yaml >../seen
cd ..

venv/bin/python - >>seen <<'END'
from pathlib import Path

import hikaru
import ruamel.yaml
import yaml


def mode(document):
    return document["spec"]["volumes"][0]["secret"]["defaultMode"]


texts = [Path(f"{mode}.yaml").read_text() for mode in ("0400", "0o400")]
for text in texts:
    print("PyYAML", repr(mode(yaml.safe_load(text))))
for text in texts:
    print("ruamel.yaml", mode(ruamel.yaml.YAML(typ="safe").load(text)))
for text in texts:
    print("hikaru", mode(yaml.safe_load(hikaru.get_yaml(hikaru.load_full_yaml(yaml=text)[0]))))
END
cat seen
cat >wanted <<'END'
sigs.k8s.io 256
sigs.k8s.io 256
PyYAML 256
PyYAML '0o400'
ruamel.yaml 400
ruamel.yaml 256
hikaru 400
hikaru 256
END
cmp wanted seen
