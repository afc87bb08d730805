#!/bin/sh
# Durations of a KubeletConfiguration, as read by durationpy 0.11, "for converting between datetime.timedelta and
# Go's Duration strings", which Kubernetes' own Python client depends on.
#
# One would guess: what it reads, Go's time.ParseDuration reads as well (units ns, us, ms, s, m, h; one sign, at
#   the beginning), so that a value checked by it can be given to a kubelet.
# What happens: it knows days, weeks, months (mm) and years besides, and skips blanks and minus signs between
#   two values. A kubelet does not start with any of these. `1h-30m` is an hour and a half.
# Seen:
#   30d      30 days, 0:00:00     Go: time: unknown unit "d" in duration "30d"
#   1w       7 days, 0:00:00      Go: time: unknown unit "w" in duration "1w"
#   2mm      60 days, 0:00:00     Go: time: unknown unit "mm" in duration "2mm"
#   1h 30m   1:30:00              Go: time: unknown unit "h " in duration "1h 30m"
#   1h-30m   1:30:00              Go: time: unknown unit "h-" in duration "1h-30m"
set -eu
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check durationpy==0.11

cat >"$work/main.go" <<'END'
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	for _, text := range os.Args[1:] {
		read, err := time.ParseDuration(text)
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(read)
		}
	}
}
END
set -- 30d 1w 2mm '1h 30m' 1h-30m 1h30m
go run "$work/main.go" "$@" >"$work/go"
"$work/venv/bin/python" - "$work" "$@" <<'END'
import sys
from pathlib import Path

import durationpy

folder, *texts = sys.argv[1:]
go = (Path(folder) / "go").read_text().splitlines()
seen = {}
for text, words in zip(texts, go, strict=True):
    seen[text] = str(durationpy.from_str(text))
    print(f"{text:8} {seen[text]:20} Go: {words}")
assert list(seen.values()) == [
    "30 days, 0:00:00",
    "7 days, 0:00:00",
    "60 days, 0:00:00",
    "1:30:00",
    "1:30:00",
    "1:30:00",
]
assert [words.startswith("time: unknown unit") for words in go] == [True] * 5 + [False]
END
echo "as seen: durations that no kubelet reads are read"
