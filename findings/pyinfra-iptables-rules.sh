#!/bin/sh
# pyinfra 3.10.0: its reader of iptables-save, and iptables.rule, which compares with what that found.
#
# One would guess: a rule that is there is left alone, one that is not is added; `!` makes another rule.
# What happens: what a rule has beside source, destination, protocol, interfaces and target is kept as
#   a set of words, in which neither order nor `!` counts. Asked for a rule for packets with
#   kube-proxy's mark, pyinfra finds it in the one for packets without it: "no change". And a
#   match with two words (`--match-set NAME dst`, a comment with a blank) or with `!` is never found
#   again: each run adds the same rule once more, to a chain that every packet goes through.
# Seen (iptables-save and iptables are stand-ins, which print and note down):
#   there: -A FORWARD -m mark ! --mark 0x4000/0x4000 -j ACCEPT
#   asked: -A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT           no change
#   there: -A FORWARD -m set --match-set pools dst -j ACCEPT
#   asked: the same                                                    added
#   there: -A FORWARD -m conntrack ! --ctstate INVALID -j ACCEPT
#   asked: the same                                                    added
#   there: -A FORWARD -m conntrack --ctstate INVALID -j DROP
#   asked: the same                                                    no change
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pyinfra==3.10.0

mkdir "$work/bin"
cat >"$work/bin/iptables-save" <<END
#!/bin/sh
cat "$work/rules"
END
cat >"$work/bin/iptables" <<END
#!/bin/sh
echo "\$@" >>"$work/added"
END
chmod +x "$work/bin/iptables-save" "$work/bin/iptables"

shows() { # WHAT IS THERE, WHAT IS ASKED FOR, TARGET, WHETHER PYINFRA IS TO ADD IT
    printf '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD %s -j %s\nCOMMIT\n' "$1" "$3" >"$work/rules"
    : >"$work/added"
    cat >"$work/deploy.py" <<END
from pyinfra.operations import iptables

iptables.rule(chain="FORWARD", jump="$3", extras="$2")
END
    (cd "$work" && PATH=$work/bin:$PATH venv/bin/pyinfra -y @local deploy.py >log 2>&1) || {
        cat "$work/log" >&2
        exit 1
    }
    seen="no change"
    [ ! -s "$work/added" ] || seen=added
    echo "there: $1; asked: $2: $seen"
    [ "$seen" = "$4" ]
}
shows '-m mark ! --mark 0x4000/0x4000' '-m mark --mark 0x4000/0x4000' ACCEPT 'no change'
shows '-m set --match-set pools dst' '-m set --match-set pools dst' ACCEPT added
shows '-m conntrack ! --ctstate INVALID' '-m conntrack ! --ctstate INVALID' ACCEPT added
shows '-m conntrack --ctstate INVALID' '-m conntrack --ctstate INVALID' DROP 'no change'
