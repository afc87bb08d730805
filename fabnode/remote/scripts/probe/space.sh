# Folders that can't be written in, and file systems: room, inodes, kind.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

find_nearest() { # find_nearest PATH: the folder that is there, of those that lead to it, into $near
	near=$1
	while [ -n "$near" ] && [ ! -d "$near" ]; do near=${near%/*}; done
	near=${near:-/}
}

for path in $writable; do
	find_nearest "$path"
	[ -w "$near" ] || emit readonly "$path"
done
places=
for path in $free; do
	find_nearest "$path"
	places=$places$near$nl
done
set -- $free
[ -z "$places" ] || for size in $(stat -f -c '%a %S %d %c %T' -- $places); do
	emit space "$size" "$1"
	shift
done
