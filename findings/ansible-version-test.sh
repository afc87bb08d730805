#!/bin/sh
# Ansible's test `version`, as playbooks ask for Kubernetes' release with it: ansible-core 2.19.0.
#
# One would guess: `kube_version is version('1.36.0', '>=')` is false for a release candidate of 1.36.0,
#   and takes v1.36.0, as Kubernetes itself writes it, for 1.36.0, or says that it is no version.
# What happens: by its default, `loose`, 1.36.0-rc.1 is newer than 1.36.0, so that a playbook takes what
#   comes with the release for a candidate; and a `v` on one of the two is an error that speaks of
#   comparing a string with an integer. With `version_type='semver'` the first is right.
# Seen:
#   '1.36.0-rc.1' is version('1.36.0', '>=')                           true
#   '1.36.0-rc.1' is version('1.36.0', '>=', version_type='semver')    false
#   'v1.36.0' is version('1.35', '>=')                                 '<' not supported between instances of 'str' and 'int'
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.0

export ANSIBLE_HOME="$work/ansible" ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=False
evaluate() { # evaluate EXPRESSION: what it is, or the error that it makes
    "$work/venv/bin/ansible" localhost -i localhost, -m ansible.builtin.debug -a "msg={{ $1 }}" >"$work/log" 2>&1 || true
    sed -n 's/^ *"msg": \([a-z]*\)$/\1/p' "$work/log" | grep . ||
        grep -o "'[<>]' not supported between instances of '[a-z]*' and '[a-z]*'" "$work/log" | head -n 1
}
expect() { # expect EXPRESSION SEEN
    seen=$(evaluate "$1")
    printf '%-67s%s\n' "$1" "$seen"
    [ "$seen" = "$2" ] || {
        echo "it is otherwise now"
        cat "$work/log"
        exit 1
    }
}
expect "'1.36.0-rc.1' is version('1.36.0', '>=')" true
expect "'1.36.0-rc.1' is version('1.36.0', '>=', version_type='semver')" false
expect "'v1.36.0' is version('1.35', '>=')" "'<' not supported between instances of 'str' and 'int'"
