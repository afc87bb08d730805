# Replaced files: moved away so that a unit makes new ones, restored if it does not.
# shellcheck shell=sh

replaced=
at_exit="$at_exit restore_replaced"

replaced_path() { # replaced_path PATH: where the old file waits until the new one is there
	printf %s "${1%/*}/.${1##*/}.fabnode-old"
}

move_away() { # move_away PATH UNIT: the unit makes a new file when it starts
	mv -fT "$1" "$(replaced_path "$1")" && replaced="$replaced $1 $2"
}

delete_replaced() { # after success
	# shellcheck disable=SC2086 # a list
	set -- $replaced
	replaced=
	while [ $# -gt 0 ]; do
		rm -f "$(replaced_path "$1")"
		shift 2
	done
}

restore_replaced() { # after a failure: where there is no new file, the old one is better than none
	# shellcheck disable=SC2086 # a list
	set -- $replaced
	while [ $# -gt 0 ]; do
		if [ ! -e "$1" ] && mv -fT "$(replaced_path "$1")" "$1"; then
			systemctl restart --no-block -- "$2" >/dev/null 2>&1
		fi
		shift 2
	done
}
