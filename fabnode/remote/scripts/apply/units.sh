# Units: started, enabled, waited for until they are steady.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

started_units=

remove_stamps() { # remove_stamps UNIT…: from here on their last start did not have all in place
	for unit in "$@"; do rm -f "$state/stamps/$unit"; done
}

read_unit() { # read_unit UNIT: ActiveState, SubState, NRestarts and such into shell variables
	ActiveState= SubState= NRestarts=0 ActiveEnterTimestampMonotonic=0
	eval "$(systemctl show -p ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic -- "$1" |
		sed -n "s/^\([A-Za-z]*\)=\([-a-z0-9]*\)$/\1='\2'/p")"
}

print_journal() { # print_journal UNIT: its last lines; fails, as the unit did
	echo "the journal of $1 ends with:"
	read_journal "$1"
	return 1
}

report_failed() { # report_failed UNIT: fails
	failed_units="$failed_units $1"
	print_journal "$1"
}

has_failed() { # has_failed RESTARTS: of the unit that was read; RESTARTS: how many it had before
	[ "$ActiveState" = failed ] || [ "$ActiveState" = inactive ] || [ $((NRestarts - $1)) -ge 2 ]
}

report_unsteady() { # report_unsteady UNIT RESTARTS: fails
	echo "$1 does not stay up: it is $ActiveState ($SubState), started again $((NRestarts - $2)) times"
	report_failed "$1"
}

was_started() { # was_started UNIT: in this run
	case "$started_units " in *" $1 "*) ;; *) return 1 ;; esac
}

start_unit() { # start_unit UNIT STAMP reload|-: restart it now, and start it at every boot
	wait_member "$2" || return
	systemctl enable -q --no-reload -- "$1" || return
	[ "$3" != reload ] || systemctl daemon-reload || return
	restart_unit "$1" "$2"
}

restart_unit() { # restart_unit UNIT [STAMP]: does not enable it
	systemctl reset-failed -- "$1" 2>/dev/null
	starting=$1
	# It is always `restart`: a unit between two attempts to start counts as started for `start`.
	systemctl restart -- "$1" || {
		report_failed "$1"
		return
	}
	starting=
	read_unit "$1"
	started_units="$started_units $1 ${2:--} $NRestarts"
	case $ActiveState in
	active | activating | reloading) ;;
	*)
		echo "$1 is $ActiveState ($SubState)"
		report_failed "$1"
		;;
	esac
}

remove_unit() { # remove_unit UNIT FILE: stopped, not started at boot, and without that file
	systemctl disable -q --now -- "$1" || systemctl stop -- "$1" || return
	remove_stamps "$1"
	remove_file "$2" && systemctl daemon-reload || return
	systemctl reset-failed -- "$1" 2>/dev/null || :
}

enable_unit() { # enable_unit UNIT: without the reload systemd would go on calling it disabled
	systemctl enable -q --no-reload -- "$1" && systemctl daemon-reload
}

settle_units() { # wait until every unit that was started is steady; then write its stamp
	# Meanwhile, for it takes a moment as well; no stamp is to be there before what it records.
	sync_written || return
	mkdir -p "$state/stamps"
	IFS=' '
	# shellcheck disable=SC2086 # a list
	set -- $started_units
	while [ $# -gt 0 ]; do
		wait_steady "$1" "$3" || return
		emit_start "$1"
		delete_previous "$1"
		[ "$2" = - ] || { mv -f "$2" "$state/stamps/$1" && note_written "$state/stamps/$1"; } || return
		shift 3
	done
}

# By its own clock: what it reported before comes from the process that ran then. Busybox knows no
# nanoseconds.
emit_start() { # emit_start UNIT: when the unit that was just read started, in seconds since 1970
	clock=$(date +%s.%N)
	part=${clock#*.}
	case $part in *[!0-9]* | '' | ?) part=00 ;; *) part=${part%"${part#??}"} ;; esac
	emit started "$1" $(((${clock%%.*}$part - (uptime - ActiveEnterTimestampMonotonic / 10000)) / 100)) >&4
}

wait_steady() { # wait_steady UNIT RESTARTS: until it has been active for a second
	tries=0
	while :; do
		read_unit "$1"
		read_uptime
		if [ "$ActiveState" = active ]; then
			[ $((uptime - ActiveEnterTimestampMonotonic / 10000)) -lt 100 ] || return 0
		elif has_failed "$2" || [ "$tries" -ge 300 ]; then
			report_unsteady "$1" "$2"
			return
		fi
		tries=$((tries + 1))
		sleep 0.1
	done
}
