#!/bin/sh
# Fabric 3.2.3 (Invoke 2.2.1): connections that share a Config, as those of one program do.
#
# One would guess: `Connection(host, config=c, inline_ssh_env=False)` sets that for this connection, as `user`,
#   `port`, `forward_agent` and `connect_timeout` do beside it, and reads c without changing it.
# What happens: `inline_ssh_env` is no attribute of the class, so that it goes where Invoke puts unknown
#   attributes of a context: into the Config. The last connection made decides for all of them, the ones made
#   before as well, whether variables of `run(env=…)` stand in the command or are asked of the SSH server, most
#   of which ignore them without a word. Each new connection writes it, asked or not, and the Config is
#   merged again for that: whoever reads it in another thread meanwhile may find it empty
#   ("No attribute or config key found for 'user'").
# Seen: first True, then False; user of the first: ada; the Config: {'inline_ssh_env': False}
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install fabric==3.2.3 invoke==2.2.1
HOME=$work "$work/venv/bin/python" - <<'END_OF_FILE'
import sys

from fabric import Config, Connection

config = Config()
first = Connection("first.example", config=config, user="ada", inline_ssh_env=True)
before = first.inline_ssh_env
Connection("second.example", config=config, user="bob", inline_ssh_env=False)
after = first.inline_ssh_env
changed = config._modifications
print(f"first {before}, then {after}; user of the first: {first.user}; the Config: {changed}")
if (before, after, first.user) != (True, False, "ada"):
    sys.exit("it is no more as it was seen")
END_OF_FILE
