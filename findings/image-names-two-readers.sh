#!/bin/sh
# The name of an image, read by distribution/reference 0.6.0 (docker, containerd's CRI) and by
# go-containerregistry 0.22.1 (crane, ko, cosign).
#
# One would guess: there is one canonical form, so names that tools print can be compared as texts;
#   and a name with a capital letter is refused, since repositories are lower-case.
# What happens: the same busybox is at docker.io for one and at index.docker.io for the other. And
#   a capital letter makes the first part a *host* for the first: "Team/app" is pulled from a server
#   called Team, "team/app" from Docker Hub; the second refuses the former.
# Seen:
#   busybox   docker.io/library/busybox:latest   index.docker.io/library/busybox:latest
#   team/app  docker.io/team/app:latest          index.docker.io/team/app:latest
#   Team/app  Team/app:latest                    refused
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
	"fmt"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
)

func main() {
	for _, image := range []string{"busybox", "team/app", "Team/app"} {
		first, second := "refused", "refused"
		if found, err := reference.ParseNormalizedNamed(image); err == nil {
			first = reference.TagNameOnly(found).String()
		}
		if found, err := name.ParseReference(image); err == nil {
			second = found.Name()
		}
		fmt.Println(image, first, second)
	}
}
END
cd "$work/main"
go mod init finding >/dev/null 2>&1
GOFLAGS=-mod=mod go get github.com/distribution/reference@v0.6.0 \
    github.com/google/go-containerregistry/pkg/name@v0.22.1 >/dev/null 2>&1
GOFLAGS="-mod=mod -p=1" go run . | tee "$work/seen"
cat >"$work/wanted" <<'END'
busybox docker.io/library/busybox:latest index.docker.io/library/busybox:latest
team/app docker.io/team/app:latest index.docker.io/team/app:latest
Team/app Team/app:latest refused
END
cmp "$work/wanted" "$work/seen"
