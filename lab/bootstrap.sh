#!/bin/sh
# Prepares a Debian or Ubuntu machine: says what will be made, asks, installs missing packages.
# usage: lab/bootstrap.sh demo|test|vm-test (YES=1, CI or no terminal: does not ask)
set -eu
purpose=${1:?usage: lab/bootstrap.sh demo|test|vm-test}
python=${PYTHON:-python3}

# What a lab calls, and the package it is in.
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need systemd-nspawn systemd-container
need mmdebstrap mmdebstrap
need ip iproute2
need nsenter util-linux
need mount mount
need ssh openssh-client
# Tests run what nodes run in the smallest of shells, too.
[ "$purpose" = demo ] || need busybox busybox
if [ "$purpose" = vm-test ]; then
    need qemu-system-x86_64 qemu-system-x86
    need mke2fs e2fsprogs
fi
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "fabnode needs Python 3.11 or newer; name one by: make $purpose PYTHON=python3.x" >&2
    exit 1
}
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"

if [ "$(id -u)" != 0 ]; then
    echo "A lab needs root: it makes mounts, a bridge and containers." >&2
    [ "$purpose" = test ] || exit 1
    echo "The tests that need no lab will run." >&2
    exit 0
fi

# The demo is one release of Kubernetes; tests run four.
cache="2 GB, and 8 GB more" took="a quarter of an hour"
[ "$purpose" = demo ] || cache="5 GB, and 13 GB more" took="half an hour"

if [ ! -d .lab ]; then
    cat <<END
fabnode's lab runs a real Kubernetes cluster on this machine. It will
  - install Debian packages:${missing:- none, all are present}
  - make .venv here with the Python packages of requirements*.txt
  - make one network bridge (fab-…, 10.99.x.0/24), one folder per lab (.lab…), one cgroup per host
  - fill a cache, ${XDG_CACHE_HOME:-$HOME/.cache}/fabnode: $cache where Kubernetes must be
    built because its downloads don't answer ($took on two cores, once)
Processes, mounts, bridge, cgroups and lab folders go with \`make demo-down\`; packages, .venv and cache stay.
END
    if [ -z "${YES:-}${CI:-}" ] && [ -t 0 ]; then
        printf 'Go on? [y/N] '
        read -r answer
        case $answer in y | Y | yes) ;; *)
            echo "Nothing was done."
            exit 1
            ;;
        esac
    fi
fi

[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || {
    echo "No apt-get here. Please install what holds these Debian packages' commands:$missing" >&2
    [ "$purpose" = test ] && exit 0 || exit 1
}
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
install() { apt-get install -y -q --no-install-recommends $missing; }
# Package lists may be absent or old; others' lists that fail to update are none of our business.
install || {
    apt-get update -q || echo "apt-get update had errors; trying all the same" >&2
    install
}
