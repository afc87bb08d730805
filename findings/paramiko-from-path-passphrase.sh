#!/bin/sh
# paramiko 5.1.0: encrypted private keys, by PKey.from_path and by the key class's own method.
#
# One would guess: both take the passphrase as text, and both raise PasswordRequiredException where
#   it is missing, so that a program may try from_path (which finds out the kind of key) and ask.
# What happens: from_path hands the text on to cryptography, which wants bytes, and a TypeError
#   comes of it; the class's own method takes the same text. Without a passphrase from_path raises a
#   TypeError as well, which is no SSHException and does not say what is missing to a program.
# Seen, with a key made by ssh-keygen -t ed25519 -N passphrase:
#   Ed25519Key.from_private_key_file(path, "passphrase")  the key
#   PKey.from_path(path, "passphrase")                    TypeError
#   PKey.from_path(path, b"passphrase")                   the key
#   Ed25519Key.from_private_key_file(path)                PasswordRequiredException
#   PKey.from_path(path)                                  TypeError
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check paramiko==5.1.0 cryptography==50.0.2
ssh-keygen -q -t ed25519 -N passphrase -C '' -f "$work/key"

"$work/venv/bin/python" - "$work/key" <<'END'
import sys

from paramiko import Ed25519Key, PKey


def outcome(load, *password):
    try:
        return load(sys.argv[1], *password).get_name()
    except Exception as error:
        return type(error).__name__


seen = {
    "own method, text": outcome(Ed25519Key.from_private_key_file, "passphrase"),
    "from_path, text": outcome(PKey.from_path, "passphrase"),
    "from_path, bytes": outcome(PKey.from_path, b"passphrase"),
    "own method, none": outcome(Ed25519Key.from_private_key_file),
    "from_path, none": outcome(PKey.from_path),
}
for what, result in seen.items():
    print(f"{what:18} {result}")
assert list(seen.values()) == [
    "ssh-ed25519",
    "TypeError",
    "ssh-ed25519",
    "PasswordRequiredException",
    "TypeError",
], "it is otherwise now"
END
