#!/bin/sh
# paramiko 5.1.0: a server that asks for a key and then for a second factor.
#
# One would guess: connect() with a key and no password raises an exception that says what else the
#   server wants (BadAuthenticationType has a field for that), as programs have nobody to ask.
# What happens: SSHClient answers keyboard-interactive by itself: it prints the server's prompt to
#   stdout and reads the answer from stdin, in whatever thread connect() was called. A program that
#   connects to many hosts has prompts in its output, and a line of its input goes to a server.
# Seen, with a server that accepts the key as the first of two factors, and a program whose stdin is
# its own data:
#   One-time code:
#   the server was sent '123456', the first line of the program's input
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check paramiko==5.1.0
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/host"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$work/user"
cat >"$work/both.py" <<'END'
import socket
import sys
import threading

import paramiko
from paramiko import common, server

host_key = paramiko.Ed25519Key.from_private_key_file(sys.argv[1])
user_key = paramiko.Ed25519Key.from_private_key_file(sys.argv[2])


class TwoFactors(server.ServerInterface):
    def get_allowed_auths(self, username):
        return "publickey,keyboard-interactive"

    def check_auth_publickey(self, username, key):
        return common.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_interactive(self, username, submethods):
        return server.InteractiveQuery("", "", ("One-time code: ", False))

    def check_auth_interactive_response(self, responses):
        print(f"\nthe server was sent {responses[0]!r}, the first line of the program's input")
        return common.AUTH_SUCCESSFUL


def serve(listener):
    transport = paramiko.Transport(listener.accept()[0])
    transport.add_server_key(host_key)
    transport.start_server(server=TwoFactors())
    transport.join(30)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
port = listener.getsockname()[1]
client = paramiko.SSHClient()
client.get_host_keys().add(f"[127.0.0.1]:{port}", "ssh-ed25519", host_key)
client.connect(
    "127.0.0.1", port, "u", pkey=user_key, look_for_keys=False, allow_agent=False, timeout=20
)
client.close()
END
printf '123456\nmore data\n' | "$work/venv/bin/python" "$work/both.py" "$work/host" "$work/user" >"$work/out"
cat "$work/out"
grep -q 'One-time code: ' "$work/out"
grep -q "the server was sent '123456'" "$work/out"
