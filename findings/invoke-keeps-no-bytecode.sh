#!/bin/sh
# Invoke 2.2.1 and Fabric 3.2.2: what a task file imports is compiled again by each command.
#
# One would guess: the first `inv` compiles the modules beside tasks.py into __pycache__, as any
#   Python program does, and later ones begin at once.
# What happens: inv and fab switch that off while they run (it takes --write-pyc, at each command),
#   whatever Python was told. The file that is loaded first is no exception; only modules that
#   something else, such as pytest, has compiled are quick. So two checkouts of the same commit are
#   not equally fast, and comparing commits in fresh checkouts flatters the one that was tested.
# Seen:
#   inv --list: kept 0 of 200 modules
#   inv --write-pyc --list: kept 200 of 200 modules
#   fab --list: kept 0 of 200 modules
set -eu
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check invoke==2.2.1 fabric==3.2.2
mkdir "$work/site" "$work/site/library"
cd "$work/site"
: >library/__init__.py
number=0
while [ "$number" -lt 199 ]; do
    printf 'def task_%s():\n    return %s\n' "$number" "$number" >"library/part_$number.py"
    printf 'import library.part_%s\n' "$number" >>library/__init__.py
    number=$((number + 1))
done
printf 'import library\nfrom invoke import task\n\n\n@task\ndef hello(c):\n    "Greet."\n' >tasks.py
cp tasks.py fabfile.py

kept() {
    find . -name __pycache__ -exec rm -rf {} +
    "$@" >/dev/null
    find library -name '*.pyc' | wc -l
}

plain=$(kept "$work/venv/bin/inv" --list)
echo "inv --list: kept $plain of 200 modules"
asked=$(kept "$work/venv/bin/inv" --write-pyc --list)
echo "inv --write-pyc --list: kept $asked of 200 modules"
fabric=$(kept "$work/venv/bin/fab" --list)
echo "fab --list: kept $fabric of 200 modules"
[ "$plain $asked $fabric" = "0 200 0" ]
