#!/bin/sh
# A memory size, read by Kubernetes (k8s.io/apimachinery 0.37.2) and by pydantic's ByteSize 2.14.3.
#
# One would guess: a configuration checked with ByteSize takes what kubelets and pods take; and
#   Kubernetes gives a size back as it was written, or in one form.
# What happens: ByteSize refuses 1Gi (it wants 1GiB, which Kubernetes refuses), so the two share only
#   decimal units, and there "100m" is 100 MB to one and a tenth of a byte to the other. Kubernetes
#   rewrites what it is given, as far as that is exact in the same family of units: 1024Mi becomes
#   1Gi, 1000 becomes 1k, 1e3 stays, and 0.1Gi turns into thousandths of bytes. Sizes compared as
#   texts differ for ever.
# Seen:
#   Kubernetes: 1Gi=1Gi 1GiB=refused 100m=100m 1024Mi=1Gi 1000=1k 1e3=1e3 0.1Gi=107374182400m
#   ByteSize:   1Gi=refused 1GiB=1073741824 100m=100000000 1024Mi=refused 1000=1000 1e3=refused 0.1Gi=refused
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pydantic==2.14.3
set -- 1Gi 1GiB 100m 1024Mi 1000 1e3 0.1Gi
mkdir "$work/main"
cat >"$work/main/main.go" <<'END'
package main

import (
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/resource"
)

func main() {
	for _, text := range os.Args[1:] {
		found, err := resource.ParseQuantity(text)
		if err != nil {
			fmt.Printf("%s=refused ", text)
		} else {
			fmt.Printf("%s=%s ", text, found.String())
		}
	}
	fmt.Println()
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get k8s.io/apimachinery/pkg/api/resource@v0.37.2 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . "$@" | tee "$work/seen"
"$work/venv/bin/python" - "$@" <<'END' | tee -a "$work/seen"
import sys

from pydantic import ByteSize, TypeAdapter, ValidationError


def read(text):
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        return "refused"


print(*(f"{text}={read(text)}" for text in sys.argv[1:]))
END
cat >"$work/wanted" <<'END'
1Gi=1Gi 1GiB=refused 100m=100m 1024Mi=1Gi 1000=1k 1e3=1e3 0.1Gi=107374182400m 
1Gi=refused 1GiB=1073741824 100m=100000000 1024Mi=refused 1000=1000 1e3=refused 0.1Gi=refused
END
cmp "$work/wanted" "$work/seen"
