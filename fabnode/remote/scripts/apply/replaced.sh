# Files that units replace by new ones, kept until these are there.
# shellcheck shell=sh

asides=

old() { # old PATH: where it waits until what takes its place is there
	printf %s "${1%/*}/.${1##*/}.fabnode-old"
}

aside() { # aside PATH UNIT: out of the way, so that the unit makes a new one when it starts
	mv -fT "$1" "$(old "$1")" && asides="$asides $1 $2"
}

replaced() { # all went well: nobody needs the old ones
	# shellcheck disable=SC2086 # a list
	set -- $asides
	asides=
	while [ $# -gt 0 ]; do
		rm -f "$(old "$1")"
		shift 2
	done
}

back() { # it did not go well: where there is no new one, the old one is better than none
	# shellcheck disable=SC2086 # a list
	set -- $asides
	while [ $# -gt 0 ]; do
		if [ ! -e "$1" ] && mv -fT "$(old "$1")" "$1"; then
			systemctl restart --no-block -- "$2" >/dev/null 2>&1
		fi
		shift 2
	done
}
