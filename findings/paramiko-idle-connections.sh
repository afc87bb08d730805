#!/bin/sh
# paramiko 5.1.0: connections that nobody uses.
#
# One would guess: a connection that waits costs nothing but memory and a file, as one of ssh's does;
#   keeping hundreds of them open for later is cheap.
# What happens: the thread that each has wakes ten times a second, whether or not anything comes: its
#   socket has a time limit of 0.1 s, set after the connection was made, which no argument changes. Of 250
#   idle connections these are 2,500 turns a second, all of them for Python's one lock.
# Seen, over 4 s: woken 40 times; after sock.settimeout(1): 4
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install paramiko==5.1.0
"$work/venv/bin/python" - <<'END_OF_FILE'
import os
import socket
import sys
import threading
import time

import paramiko


class Server(paramiko.ServerInterface):
    def check_auth_none(self, username):
        return paramiko.AUTH_SUCCESSFUL


ours, theirs = socket.socketpair()
if os.fork() == 0:
    ours.close()
    server = paramiko.Transport(theirs)
    server.add_server_key(paramiko.RSAKey.generate(2048))
    server.start_server(server=Server(), event=threading.Event())
    server.join()
    os._exit(0)
theirs.close()
client = paramiko.Transport(ours)
client.start_client(timeout=20)
client.auth_none("nobody")


def woken(seconds=4):
    def count():
        with open(f"/proc/self/task/{client.native_id}/status") as status:
            lines = dict(line.split(":\t", 1) for line in status)
        return int(lines["voluntary_ctxt_switches"])

    before = count()
    time.sleep(seconds)
    return count() - before


as_it_is = woken()
ours.settimeout(1)
time.sleep(1)
slower = woken()
print(f"woken {as_it_is} times; after sock.settimeout(1): {slower}")
client.close()
os.wait()
sys.exit(not (as_it_is >= 20 and slower <= 10))
END_OF_FILE
