#!/bin/sh
# Environment variables as `envFrom` makes them of the keys of a ConfigMap or Secret (`log.level`, `data-1`:
# names that Kubernetes accepts), behind an entrypoint of `sh -c 'exec "$@"'`, by shell (Debian 12: dash
# 0.5.12-2, busybox-static 1:1.35.0-4+deb12u1+b1, mksh 59c-28+deb12u1, zsh 5.9-4+b15, ksh93u+m 1.0.4-3,
# yash 2.52-2, bash 5.2.15).
#
# One would guess: what a shell has no variable for, it leaves in the environment: the program that an
#   entrypoint execs finds what the pod's definition sets, whatever /bin/sh is.
# What happens: dash, busybox and mksh make an environment of their own variables, and what is no name for
#   one is gone, without a word; bash, zsh, ksh93 and yash pass it on. An image that moves from a base with
#   bash as sh to Debian's dash loses such settings, and `kubectl exec POD -- env`, which asks no shell,
#   still shows them.
# Seen (of DATA_1, data-1, log.level, what `env` prints):
#   dash, busybox, mksh      DATA_1
#   bash, zsh, ksh93, yash   all three
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
for package in dash=0.5.12-2 busybox-static=1:1.35.0-4+deb12u1+b1 mksh=59c-28+deb12u1 zsh=5.9-4+b15 \
    ksh93u+m=1.0.4-3 yash=2.52-2; do
    (cd "$work" && apt-get download -q "$package" >/dev/null 2>&1) || {
        echo "needs apt-get with bookworm's lists (apt-get update): $package" >&2
        exit 2
    }
done
for file in "$work"/*.deb; do
    dpkg -x "$file" "$work/root"
done

passed_on() { # passed_on SHELL…: which of the three the program behind it finds
    # shellcheck disable=SC2016 # that shell's own
    env -i DATA_1=a data-1=b log.level=c "$@" -c 'exec "$@"' sh /usr/bin/env |
        sed -n 's/^\(DATA_1\|data-1\|log\.level\)=.*/\1/p' | LC_ALL=C sort | tr '\n' ' '
}
root=$work/root
status=0
expect() { # expect NAMES SHELL…
    names=$1
    shift
    seen=$(passed_on "$@")
    name=$*
    echo "${name#"$root"/}: $seen"
    [ "$seen" = "$names" ] || status=1
}
for shell in bin/dash bin/mksh; do expect "DATA_1 " "$root/$shell"; done
expect "DATA_1 " "$root/bin/busybox" sh
for shell in bin/zsh bin/ksh93 usr/bin/yash; do expect "DATA_1 data-1 log.level " "$root/$shell"; done
expect "DATA_1 data-1 log.level " /bin/bash
[ $status = 0 ] && echo "as seen: three shells drop what is no name of a variable, four pass it on"
exit $status
