#!/bin/sh
# Times of a Lease, as written by kubernetes 37.0.2, kubernetes_asyncio 36.1.0 and lightkube 1.0.1, and
# read by k8s.io/apimachinery 0.37.2, which is the apiserver's own reader.
#
# One would guess: a client that makes a Lease's renewTime from a datetime writes what the API takes,
#   whatever the time.
# What happens: the API takes six digits behind the second, no fewer and none more ("MicroTime"). Python
#   leaves them away where they are zero, so a lease whose time was cut to the second, or that is
#   renewed in the one microsecond of a million, is refused with 400: who holds it sees one renewal
#   fail that nothing explains, or none succeed. Times of other kinds (creationTimestamp) take both.
# Seen:                       01:00:00.120000               01:00:00
#   kubernetes                01:00:00.120000+00:00         01:00:00+00:00, refused
#   kubernetes_asyncio        01:00:00.120000+00:00         01:00:00+00:00, refused
#   lightkube                 01:00:00.120000Z              01:00:00Z, refused
set -eu
command -v go >/dev/null || {
    echo "needs Go" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check kubernetes==37.0.2 \
    kubernetes_asyncio==36.1.0 lightkube==1.0.1 lightkube-models==1.37.0.8

"$work/venv/bin/python" >"$work/times" <<'END'
import asyncio
from datetime import UTC, datetime

import kubernetes.client
import kubernetes_asyncio.client
from lightkube.models.coordination_v1 import LeaseSpec
from lightkube.resources.coordination_v1 import Lease


async def main():
    for time in (datetime(2026, 12, 1, 1, 0, 0, 120000, UTC), datetime(2026, 12, 1, 1, 0, 0, 0, UTC)):
        for module in (kubernetes.client, kubernetes_asyncio.client):
            lease = module.V1Lease(spec=module.V1LeaseSpec(renew_time=time))
            client = module.ApiClient(module.Configuration())
            print(client.sanitize_for_serialization(lease)["spec"]["renewTime"])
        print(Lease(spec=LeaseSpec(renewTime=time)).to_dict()["spec"]["renewTime"])
    await client.close()


asyncio.run(main())
END

mkdir "$work/main"
cat >"$work/main/main.go" <<'END'
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		text, _ := json.Marshal(lines.Text())
		var micro metav1.MicroTime
		var other metav1.Time
		if err := json.Unmarshal(text, &other); err != nil {
			panic(err)
		}
		answer := "taken"
		if json.Unmarshal(text, &micro) != nil {
			answer = "refused"
		}
		fmt.Println(lines.Text(), answer)
	}
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get k8s.io/apimachinery@v0.37.2 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . <"$work/times" | tee "$work/seen"
cat >"$work/wanted" <<'END'
2026-12-01T01:00:00.120000+00:00 taken
2026-12-01T01:00:00.120000+00:00 taken
2026-12-01T01:00:00.120000Z taken
2026-12-01T01:00:00+00:00 refused
2026-12-01T01:00:00+00:00 refused
2026-12-01T01:00:00Z refused
END
cmp "$work/wanted" "$work/seen"
