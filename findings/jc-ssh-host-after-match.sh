#!/bin/sh
# An ssh configuration with a Match block before a Host block, through jc 1.26.1 (`--ssh-conf`), and as ssh
# itself reads it (OpenSSH 9.2p1, `ssh -G`).
#
# One would guess: jc leaves Match blocks out, as its page says, and the rest is right. In ssh_config(5) a Host
#   line ends a Match block as much as another Match does.
# What happens: only `Match all` ends one for jc. A Host block after any other Match is listed with its name and
#   without a single setting, and so are all that follow, with no warning: for a program that takes hosts and
#   users from there, n1 is a host without user, port and key.
# Seen (a Match block, then Host n1 with User and Port, then Host * with User):
#   jc: n1 and *, with nothing else
#   ssh -G n1: user deploy, port 2222
set -eu
command -v ssh >/dev/null || {
    echo "needs ssh" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check jc==1.26.1

cat >"$work/config" <<'END'
Match host bastion
  User jump
Host n1
  User deploy
  Port 2222
Host *
  User ops
END
ssh -G -F "$work/config" n1 | grep -E '^(user|port) ' | LC_ALL=C sort | tee "$work/ssh"
[ "$(cat "$work/ssh")" = "port 2222
user deploy" ] || exit 1

"$work/venv/bin/jc" --ssh-conf <"$work/config" 2>"$work/warnings" | tee "$work/json"
echo
[ ! -s "$work/warnings" ]
[ "$(cat "$work/json")" = '[{"host":"n1","host_list":["n1"]},{"host":"*","host_list":["*"]}]' ] || exit 1

# The same without the Match block.
sed 1,2d "$work/config" | "$work/venv/bin/jc" --ssh-conf | tee "$work/json"
echo
grep -q '"user":"deploy","port":2222' "$work/json"
echo "as seen: no settings of any Host after a Match"
