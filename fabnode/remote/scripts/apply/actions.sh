# Actions of the plan: each is run with records of its start, and of its end or failure.
#
# The program brings one node into the state that its plan describes. It runs as root under any POSIX
# shell; it is unpacked with its payload into a private directory, from where the file `actions` calls
# its functions in the plan's order.
#
# Its records: `start N`, `done N HUNDREDTHS`, `fail N`, `log N TEXT`, `key N PUBLIC`,
# `started UNIT SECONDS`, `beat`, `end`.
# The output of commands goes to a file, which is shown when the action fails.
#
# Set before it: state (fabnode's directory on the node), work (this run's), tar (the process that
# unpacks).
# shellcheck shell=sh disable=SC2154 # state: see above

number=-

read_uptime() { # into $uptime: hundredths of a second since boot, without starting a process
	read -r uptime _ </proc/uptime
	uptime=${uptime%.*}${uptime#*.}
}

run_action() { # run_action N FUNCTION ARGUMENT…: one change of the plan
	number=$1
	shift
	emit start "$number"
	read_uptime
	started=$uptime
	"$@" 4>&1 >log 2>&1 || fail_action
	read_uptime
	emit "done" "$number" $((uptime - started))
}

fail_action() {
	emit fail "$number"
	# First: it explains the rest, and the rest may have found no place in the log.
	[ "$(stat -f -c %a .)" -gt 0 ] || emit log "$number" "no space left in $state"
	tail -n 25 log | while IFS= read -r text || [ -n "$text" ]; do emit log "$number" "$text"; done
	exit 1
}
