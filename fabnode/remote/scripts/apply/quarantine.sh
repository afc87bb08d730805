# Quarantine of files: moved where root alone can read them, never deleted.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

quarantine_file() { # quarantine_file PATH BY: to the same path below the quarantine, into $place; BY is a command
	# Into $was as well: the owner and mode that it had.
	[ -f "$1" ] && [ ! -L "$1" ] || {
		echo "$1 is no regular file any more"
		return 1
	}
	place=$state/quarantine$1 copy=0
	(umask 077 && mkdir -p "${place%/*}") || return
	while [ -e "$place" ] || [ -L "$place" ]; do
		copy=$((copy + 1))
		place=$state/quarantine$1.$copy
	done
	(
		folder=${1%/*}
		cd -P -- "$folder/" && [ "$(pwd -P)" = "${folder:-/}" ] || {
			echo "there is a symlink on the way to $1"
			exit 1
		}
		# By now nobody can put another folder in the place of one on the way.
		mv -T -- "./${1##*/}" "$place"
	) || return
	# Its type can be relied on only here, where root alone has access.
	[ -f "$place" ] && [ ! -L "$place" ] || {
		echo "what was moved from $1 to $place is no regular file"
		return 1
	}
	was=$(stat -c '%u:%g %a' -- "$place") && own_by_root "$place" 600 || return
	echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1 was put here by $2; once nothing misses it: shred -u $place" \
		>>"$state/quarantine/NOTE"
}
