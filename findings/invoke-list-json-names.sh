#!/bin/sh
# invoke 2.2.1: names of collections in `--list --list-format=json`.
#
# One would guess: the listing for programs names tasks as they are called, as the flat one does:
#   completion, wrappers and documentation join the names of the collections above a task with dots.
# What happens: a collection is shown under the name that it was made with, not the one by which it is
#   bound (`add_collection(inner, "nodes")`), and null where it was made without; the joined name is
#   refused. So it is for a module's namespace that somebody else's tasks.py mounts under a name of
#   its own, which is what `add_collection(module, name)` is for.
# Seen:
#   flat: nodes.drain
#   JSON: inner.drain
#   invoke inner.drain: No idea what 'inner.drain' is!
#   JSON of a collection without a name: None
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check invoke==2.2.1
cd "$work"
cat >tasks.py <<'END_OF_TASKS'
from invoke import Collection, task


@task
def drain(c):
    """Drain a node."""


inner = Collection("inner")
inner.add_task(drain)
nameless = Collection()
nameless.add_task(drain)
ns = Collection()
ns.add_collection(inner, "nodes")
ns.add_collection(nameless, "hosts")
END_OF_TASKS
venv/bin/invoke --list >flat
grep -q "nodes.drain" flat
! grep -q "inner" flat || exit 1
echo "flat: nodes.drain"
venv/bin/invoke --list --list-format=json >listed
venv/bin/python - <<'END_OF_PYTHON'
import json

collections = json.load(open("listed"))["collections"]
names = {c["name"]: c["tasks"][0]["name"] for c in collections}
assert names == {"inner": "drain", None: "drain"}, names
print("JSON: inner.drain")
END_OF_PYTHON
! venv/bin/invoke inner.drain 2>refused || exit 1
grep -q "No idea what 'inner.drain' is!" refused
echo "invoke inner.drain: $(head -n 1 refused)"
echo "JSON of a collection without a name: None"
