# Who listens on the ports on which the kubelet is asked.
#
# Set before it, besides what examine/units needs: asked (addresses and ports as /proc/net/tcp writes
# them, one a line), kubelet_pid (examine/programs).
# shellcheck shell=sh disable=SC2016,SC2086,SC2154 # dollars in single quotes are awk's; lists are split at newlines on purpose; set before it

# The ports are above 1023: any user may listen there where the kubelet does not. A pod in the host's
# network may do so as root. So a socket is the kubelet's only if its owner is root and a process of
# kubelet.service holds it: the main one, or, where that is a wrapper, another in the unit's cgroup.
processes=
[ "${kubelet_pid:-0}" = 0 ] || {
	cgroup=$(systemctl show -p ControlGroup -- kubelet.service | sed -n 's,^ControlGroup=\(/.*\),\1,p' | head -n 1)
	processes=$kubelet_pid
	[ -z "$cgroup" ] || processes=$processes$nl$(
		quiet cat "/sys/fs/cgroup$cgroup/cgroup.procs" "/sys/fs/cgroup/systemd$cgroup/cgroup.procs" |
			grep -vx "$kubelet_pid" | head -n 20
	)
}

# Each connection to the kubelet is a descriptor of it: anybody may open thousands. All are looked at,
# a few hundred at once; where there is no time for that, nothing is known.
holds_socket() { # holds_socket INODE: whether a process of the kubelet's unit does; 2: not known
	for process in $processes; do
		set +f
		descriptors=$(printf '%s\n' "/proc/$process/fd/"[0-9]*)
		set -f
		batch= count=0
		for descriptor in $descriptors ''; do
			batch=$batch$descriptor$nl count=$((count + 1))
			[ -z "$descriptor" ] || [ $count -ge 400 ] || continue
			[ "$(date +%s)" -lt "$socket_deadline" ] || return 2
			# To its end: a program whose reader has gone may abort, as those of rust-coreutils do.
			! quiet timeout 10 stat -L -c '%F %i' -- $batch | grep -x "socket $1" >/dev/null || return 0
			batch= count=0
		done
	done
	return 1
}

# However many sockets somebody opens, each place is listed once for him; of root's there are few.
print_listeners() { # print_listeners FILE
	{ timeout 10 cat "$1" || echo unread; } | env "asked=$asked" awk '
		$1 == "unread" { failed = 1 }
		END { exit failed }
		BEGIN { count = split(ENVIRON["asked"], each, "\n"); for (at = 1; at <= count; at++) want[each[at]] }
		$4 != "0A" || !($2 in want) { next }
		$8 == 0 && ++roots <= 20 { print $2, $10; next }
		!seen[$2]++ { print $2, "other" }'
}

listeners=$(print_listeners /proc/net/tcp && { [ ! -e /proc/net/tcp6 ] || print_listeners /proc/net/tcp6; }) && {
	socket_deadline=$(($(date +%s) + 15))
	judged=
	for listener in $listeners; do
		whose=other
		case $listener in
		*' other') ;;
		*)
			holds_socket "${listener#* }"
			case $? in 0) whose=kubelet ;; 2) whose=unknown ;; esac
			;;
		esac
		judged=$judged${listener% *}$tab$whose$nl
	done
	case $judged in
	*"${tab}unknown$nl"*) emit limit "who listens on the kubelet's ports: it holds too many connections to tell in time" ;;
	*)
		emit listening
		for listener in $judged; do emit listener "${listener%"$tab"*}" "${listener#*"$tab"}"; done
		;;
	esac
} || emit limit "who listens on the kubelet's ports: /proc/net/tcp could not be read in time"
