# Free space of file systems.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

near=
for path in $free; do
	while [ -n "$path" ] && [ ! -d "$path" ]; do path=${path%/*}; done
	near=$near${path:-/}$nl
done
set -- $free
[ -z "$near" ] || for size in $(stat -f -c '%a %S' -- $near); do
	say free "$size" "$1"
	shift
done
