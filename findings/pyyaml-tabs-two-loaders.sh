#!/bin/sh
# PyYAML 6.0.3: a JSON file indented with tabs, as docker's daemon.json often is, by its two loaders.
#
# One would guess: JSON is read as YAML, and SafeLoader and CSafeLoader (libyaml) read the same.
# What happens: SafeLoader refuses a tab before a key inside braces; CSafeLoader reads it. Which one
#   a program has depends on how PyYAML was built, where it asks for the faster one and falls back.
# Seen:
#   spaces  SafeLoader: read       CSafeLoader: read
#   tabs    SafeLoader: ScannerError: found character '\t' that cannot start any token
#           CSafeLoader: read
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check PyYAML==6.0.3

"$work/venv/bin/python" - <<'END'
import json

import yaml

settings = {"hosts": ["fd://"], "log-opts": {"max-size": "10m"}}
seen = []
for name, indent in (("spaces", 2), ("tabs", "\t")):
    text = json.dumps(settings, indent=indent)
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        try:
            assert yaml.load(text, loader) == settings
            seen.append("read")
        except yaml.scanner.ScannerError as error:
            seen.append(error.problem)
        print(f"{name:7} {loader.__name__:11} {seen[-1]}")
assert seen == ["read", "read", "found character '\\t' that cannot start any token", "read"], seen
END
