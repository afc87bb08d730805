#!/bin/sh
# k8s.io/apimachinery 0.37.2 (kubectl, controllers) beside PyYAML 6.0.3: several documents in one file.
#
# One would guess: what a YAML parser takes for several documents, Kubernetes' readers do, too; at
#   least they agree with each other, as they are of one package.
# What happens: they look for "---" at the start of a line before any YAML is parsed, and each has a
#   rule of its own for the rest of that line: NewYAMLOrJSONDecoder (kubectl) refuses a document that begins there,
#   NewDocumentDecoder drops it without a word. What comes behind "..." belongs to no "---", so all of them
#   drop it silently, where YAML sees a new document (PyYAML asks for a "---" there, and says so). Two JSON
#   objects in a row are two for one reader and one for the other. And a `%YAML` directive, whose "---" cuts it
#   off from its document, makes the file one that is refused.
# Seen (documents; "error": refused):
#                        YAMLOrJSONDecoder   DocumentDecoder   PyYAML
#   behind "--- "        error               a, c              a, b, c
#   behind "..."         a                   a                 error
#   JSON in a row        a, b                a                 error
#   %YAML 1.1            error               error             a
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
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	documents "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func all(next func(*map[string]any) error) string {
	var names []string
	for {
		var object map[string]any
		switch err := next(&object); {
		case err == io.EOF:
			return strings.Join(names, ",")
		case err != nil:
			return "error"
		}
		for name := range object {
			names = append(names, name)
		}
	}
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	either := documents.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	split := documents.NewDocumentDecoder(io.NopCloser(bytes.NewReader(text)))
	buffer := make([]byte, 4096)
	fmt.Println(
		all(func(object *map[string]any) error { return either.Decode(object) }),
		all(func(object *map[string]any) error {
			n, err := split.Read(buffer)
			if err != nil {
				return err
			}
			return yaml.Unmarshal(buffer[:n], object)
		}),
	)
}
END
cat >"$work/main/read.py" <<'END'
import sys

import yaml

try:
    print(",".join(name for document in yaml.safe_load_all(sys.stdin) for name in document))
except yaml.YAMLError:
    print("error")
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get k8s.io/apimachinery@v0.37.2 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go build -o "$work/read" .

shows() { # TEXT EXPECTED
    seen="$(printf '%b' "$1" | "$work/read") $(printf '%b' "$1" | "$work/venv/bin/python" read.py)"
    printf '%-36s %s\n' "$1" "$seen"
    [ "$seen" = "$2" ]
}
shows 'a: 1\n--- {b: 2}\n---\nc: 3\n' 'error a,c a,b,c'
shows 'a: 1\n...\nb: 2\n' 'a a error'
shows '{"a": 1}\n{"b": 2}\n' 'a,b a error'
shows '%YAML 1.1\n---\na: 1\n' 'error error a'
