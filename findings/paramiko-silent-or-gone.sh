#!/bin/sh
# paramiko 5.1.0: a server that does not greet in time, and one that hangs up before it greets.
#
# One would guess: the message, or the class of the exception, tells a server that is silent (a
#   firewall that swallows, a host that hangs, a port that speaks another protocol) from one that ends
#   the connection (MaxStartups, PerSourcePenalties, hosts.deny): they need different remedies.
# What happens: both are one SSHException with the same words. What differs is only the exception
#   that it was raised during, TimeoutError or EOFError, in __context__, which is not documented; and
#   the time-out never says that it is one, for paramiko raises it without a text.
# Seen:
#   silent     SSHException "Error reading SSH protocol banner", during TimeoutError ""
#   hangs up   SSHException "Error reading SSH protocol banner", during EOFError ""
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check paramiko==5.1.0

"$work/venv/bin/python" - <<'END'
import logging
import socket

import paramiko

logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


def outcome(*, hangs_up):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        transport = paramiko.Transport(ours)
        transport.banner_timeout = 0.5
        if hangs_up:
            theirs.shutdown(socket.SHUT_WR)
        try:
            transport.start_client(timeout=10)
        except Exception as error:
            during = error.__context__
            return type(error).__name__, str(error), type(during).__name__, str(during)
        finally:
            transport.close()


silent, gone = outcome(hangs_up=False), outcome(hangs_up=True)
print("silent   ", *silent)
print("hangs up ", *gone)
assert silent[:2] == gone[:2] == ("SSHException", "Error reading SSH protocol banner")
assert (silent[2:], gone[2:]) == (("TimeoutError", ""), ("EOFError", "")), "it is otherwise now"
END
