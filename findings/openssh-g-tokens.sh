#!/bin/sh
# OpenSSH 9.2p1 (Debian 12): `ssh -G HOST`, "print the configuration and exit", where it has tokens.
#
# One would guess: it prints what ssh would use, so that a program that asks it need know neither patterns
#   nor tokens; or else what the file says, tokens and all.
# What happens: it depends on the option. HostName, ControlPath, RemoteCommand, IdentityAgent and
#   UserKnownHostsFile have their tokens and their ~ replaced; IdentityFile, CertificateFile and
#   ProxyJump do not, though ssh replaces them a moment later. A program that takes the jump
#   host from there looks up a host called "gw-%h", one that takes the keys finds no such file; and one that
#   replaces tokens in all of them does it twice in some.
# Seen for n1:
#   hostname n1.lab.invalid, controlpath /run/n1.lab.invalid, remotecommand echo n1.lab.invalid,
#   userknownhostsfile HOME/n1; identityfile ~/keys/%n, certificatefile ~/keys/%n-cert.pub,
#   proxyjump gw-%h; while ssh goes by way of gw-n1.lab.invalid
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ssh -V 2>&1 | grep -F "OpenSSH_9." || {
    echo "another version" >&2
    exit 1
}

cat >"$work/config" <<'END'
Host n1
  HostName %h.lab.invalid
  ControlPath /run/%h
  RemoteCommand echo %h
  UserKnownHostsFile ~/%n
  IdentityFile ~/keys/%n
  CertificateFile ~/keys/%n-cert.pub
  ProxyJump gw-%h
END
ssh -G -F "$work/config" n1 >"$work/seen"
shows() {
    grep -x "$1" "$work/seen"
}
shows 'hostname n1.lab.invalid'
shows 'controlpath /run/n1.lab.invalid'
shows 'remotecommand echo n1.lab.invalid'
shows 'userknownhostsfile /.*/n1'
shows 'identityfile ~/keys/%n'
shows 'certificatefile ~/keys/%n-cert.pub'
shows 'proxyjump gw-%h'

# The hop resolves nowhere.
ssh -v -n -F "$work/config" -o RemoteCommand=none -o BatchMode=yes n1 true 2>"$work/log" || true
grep -q "Executing proxy command: exec ssh .* gw-n1.lab.invalid" "$work/log"
echo "ssh goes by way of gw-n1.lab.invalid"
