# Who listens on the ports on which the kubelet is asked.
#
# Set before it, besides what examine/units needs: asked (addresses and ports as /proc/net/tcp writes
# them, one a line), kubelet_pid (examine/programs).
# shellcheck shell=sh disable=SC2154 # set before it

# The ports are above 1023: any user may listen there where the kubelet does not. A pod in the host's
# network may do so as root. So a socket is the kubelet's only if its owner is root and a process of
# kubelet.service holds it: the main one, or, where that is a wrapper, another in the unit's cgroup.
processes=
[ "${kubelet_pid:-0}" = 0 ] || {
	cgroup=$(systemctl show -p ControlGroup -- kubelet.service | sed -n 's,^ControlGroup=\(/.*\),\1,p' | head -n 1)
	processes=$kubelet_pid
	[ -z "$cgroup" ] || processes=$processes$nl$(
		cat "/sys/fs/cgroup$cgroup/cgroup.procs" "/sys/fs/cgroup/systemd$cgroup/cgroup.procs" 2>/dev/null |
			grep -vx "$kubelet_pid" | head -n 20
	)
}

holds_socket() { # holds_socket INODE: whether a process of the kubelet's unit does
	for process in $processes; do
		[ "$(date +%s)" -lt "$socket_deadline" ] || return 1
		set +f
		descriptors=$(printf '%s\n' "/proc/$process/fd/"[0-9]* | head -n 2000)
		set -f
		for descriptor in $descriptors; do
			# A link to a file begins with `/`, whatever the file is called.
			[ "$(readlink "$descriptor" 2>/dev/null)" != "socket:[$1]" ] || return 0
		done
	done
	return 1
}

# However many sockets somebody opens, each place is listed once for him; of root's there are few.
print_listeners() { # print_listeners FILE
	{ timeout 10 cat "$1" || echo unread; } | asked=$asked awk '
		$1 == "unread" { failed = 1 }
		END { exit failed }
		BEGIN { count = split(ENVIRON["asked"], each, "\n"); for (at = 1; at <= count; at++) want[each[at]] }
		$4 != "0A" || !($2 in want) { next }
		$8 == 0 && ++roots <= 20 { print $2, $10; next }
		!seen[$2]++ { print $2, "other" }'
}

listeners=$(print_listeners /proc/net/tcp && { [ ! -e /proc/net/tcp6 ] || print_listeners /proc/net/tcp6; }) && {
	emit listening
	socket_deadline=$(($(date +%s) + 15))
	for listener in $listeners; do
		case $listener in
		*' other') emit listener "${listener% *}" other ;;
		*) holds_socket "${listener#* }" && emit listener "${listener% *}" kubelet || emit listener "${listener% *}" other ;;
		esac
	done
} || emit limit "who listens on the kubelet's ports: /proc/net/tcp could not be read in time"
