# Free space, of the nearest directory that exists.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at line ends on purpose; set by other parts

nearest=
for path in $free; do
	while [ -n "$path" ] && [ ! -d "$path" ]; do path=${path%/*}; done
	nearest=$nearest${path:-/}$nl
done
set -- $free
[ -z "$nearest" ] || for size in $(stat -f -c '%a %S' -- $nearest); do
	emit free "$size" "$1"
	shift
done
