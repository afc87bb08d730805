# Previous files: those that a unit ran with, restored where it does not come up with the new ones.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

fallbacks= starting= failed_units= restored=
at_exit="$at_exit restore_previous" reports="$reports report_restored"

previous_path() { # previous_path PATH: where the old file waits until the unit is steady with the new one
	printf %s "${1%/*}/.${1##*/}.fabnode-previous"
}

is_kept() { [ -e "$1" ] || [ -h "$1" ]; }

# A unit that did not work has no files worth restoring, but for those of a run that was cut off.
fall_back_on() { # fall_back_on UNIT PATH…: what is written there from now on may have to be undone
	unit=$1 works=
	read_unit "$unit"
	read_uptime
	[ "$ActiveState" != active ] || [ ! -e "$state/stamps/$unit" ] || works=1
	[ "$ActiveState" != active ] || [ $((uptime - ActiveEnterTimestampMonotonic / 10000)) -lt 2000 ] || works=1
	shift
	for path in "$@"; do
		[ -z "$works" ] && ! is_kept "$(previous_path "$path")" || fallbacks="$fallbacks $unit $path"
	done
}

is_roots_file() { # is_roots_file PATH: a file that others may change is not believed again
	[ -h "$1" ] || [ ! -f "$1" ] || [ -n "$(find "$1" -prune -user "$(id -u)" ! -perm -020 ! -perm -002)" ]
}

keep_previous() { # keep_previous PATH: right before it is replaced; a link that leads nowhere stands for no file
	case "$fallbacks " in *" $1 "*) ;; *) return 0 ;; esac
	previous=$(previous_path "$1")
	if is_kept "$previous" || ! is_roots_file "$1"; then
		return 0
	elif [ -e "$1" ]; then
		ln -T "$1" "$previous"
	else
		ln -sT /nonexistent "$previous"
	fi
}

delete_previous() { # delete_previous UNIT: it is steady
	unit=$1
	# shellcheck disable=SC2086 # a list
	set -- $fallbacks
	while [ $# -gt 0 ]; do
		[ "$1" != "$unit" ] || rm -f "$(previous_path "$2")"
		shift 2
	done
}

restore_file() { # restore_file PATH: fails where it was not replaced
	previous=$(previous_path "$1")
	if [ -h "$previous" ]; then
		rm -f "$1" "$previous"
	else
		[ -e "$previous" ] && mv -fT "$previous" "$1"
	fi && note_written "$1"
}

restore_previous() { # at the end: of units that failed, in this run alone
	# One that was about to start when this run was ended.
	[ -z "$starting" ] || systemctl -q is-active -- "$starting" || failed_units="$failed_units $starting"
	IFS=' '
	# shellcheck disable=SC2086 # a list
	set -- $fallbacks
	fallbacks= back=
	while [ $# -gt 0 ]; do
		case "$failed_units " in *" $1 "*)
			if restore_file "$2"; then
				case "$back " in *" $1 "*) ;; *) back="$back $1" ;; esac
			fi
			;;
		esac
		shift 2
	done
	[ -z "$back" ] || systemctl daemon-reload
	for unit in $back; do
		systemctl reset-failed -- "$unit" 2>/dev/null
		if systemctl restart -- "$unit" && read_unit "$unit" && wait_steady "$unit" "$NRestarts"; then
			restored="$restored $unit up"
		else
			restored="$restored $unit down"
		fi
	done >/dev/null 2>&1
}

report_restored() {
	# shellcheck disable=SC2086 # a list
	set -- $restored
	while [ $# -gt 0 ]; do
		emit restored "$1" "$2"
		shift 2
	done
}
