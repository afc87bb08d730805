#!/bin/sh
# Invoke 2.2.1: switching something off by environment.
#
# One would guess: INVOKE_RUN_ECHO=false switches echo off, as `echo: false` does in invoke.yaml; or
#   it is refused, since it is no 0 or 1.
# What happens: every text but "" and "0" is true, without a word. And what a setting becomes hangs
#   on its default: where that is None, as that of timeouts.command, even a number stays a text.
# Seen:
#   INVOKE_RUN_ECHO: "" False, 0 False, 1 True, false True, no True, off True
#   INVOKE_TIMEOUTS_COMMAND=5: '5'
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check invoke==2.2.1
cd "$work"
"$work/venv/bin/python" - <<'END'
import os

from invoke import Config

seen = {}
for text in ("", "0", "1", "false", "no", "off"):
    os.environ["INVOKE_RUN_ECHO"] = text
    config = Config()
    config.load_shell_env()
    seen[text] = config.run.echo
print("INVOKE_RUN_ECHO:", seen)
assert seen == {"": False, "0": False, "1": True, "false": True, "no": True, "off": True}
os.environ["INVOKE_TIMEOUTS_COMMAND"] = "5"
config = Config()
config.load_shell_env()
print("INVOKE_TIMEOUTS_COMMAND=5:", repr(config.timeouts.command))
assert config.timeouts.command == "5"
END
