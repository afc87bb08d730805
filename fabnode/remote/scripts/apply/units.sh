# Units: started, enabled, waited for.
# shellcheck shell=sh disable=SC2154 # set by parts before it

settling=

unstamp() { # unstamp UNIT…: from here on their last start is no longer one with all in place
	for unit in "$@"; do rm -f "$state/stamps/$unit"; done
}

show() { # show UNIT: ActiveState, SubState, NRestarts and such as shell variables
	ActiveState= SubState= NRestarts=0 ActiveEnterTimestampMonotonic=0
	eval "$(systemctl show -p ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic -- "$1" |
		sed -n "s/^\([A-Za-z]*\)=\([-a-z0-9]*\)$/\1='\2'/p")"
}

journal() { # journal UNIT: its last words
	echo "the journal of $1 ends with:"
	journalctl --no-pager -q -o cat -n 20 -u "$1" | cut -c 1-400
	return 1
}

unit() { # unit UNIT STAMP reload|-: start it anew, and at every boot
	need "$2" || return
	systemctl enable -q --no-reload -- "$1" || return
	[ "$3" != reload ] || systemctl daemon-reload || return
	restart "$1" "$2"
}

restart() { # restart UNIT [STAMP]: neither enabled nor, without one, stamped
	systemctl reset-failed -- "$1" 2>/dev/null
	# It is always `restart`: a unit between two attempts to start counts as started for `start`.
	systemctl restart -- "$1" || {
		journal "$1"
		return
	}
	show "$1"
	settling="$settling $1 ${2:--} $NRestarts"
	case $ActiveState in
	active | activating | reloading) ;;
	*)
		echo "$1 is $ActiveState ($SubState)"
		journal "$1"
		;;
	esac
}

enable() { # enable UNIT: without the reload systemd would go on calling it disabled
	systemctl enable -q --no-reload -- "$1" && systemctl daemon-reload
}

settle() { # every unit that was started is up, and stays up for a second; then it is stamped
	mkdir -p "$state/stamps"
	IFS=' '
	# shellcheck disable=SC2086 # a list
	set -- $settling
	while [ $# -gt 0 ]; do
		steady "$1" "$3" || return
		[ "$2" = - ] || mv -f "$2" "$state/stamps/$1" || return
		shift 3
	done
}

steady() { # steady UNIT RESTARTS
	tries=0
	while :; do
		show "$1"
		seconds
		if [ "$ActiveState" = active ]; then
			[ $((up - ActiveEnterTimestampMonotonic / 10000)) -lt 100 ] || return 0
		elif [ "$ActiveState" = failed ] || [ "$ActiveState" = inactive ] || [ $((NRestarts - $2)) -ge 2 ] || [ "$tries" -ge 300 ]; then
			echo "$1 does not stay up: it is $ActiveState ($SubState), started again $((NRestarts - $2)) times"
			journal "$1"
			return
		fi
		tries=$((tries + 1))
		sleep 0.1
	done
}
