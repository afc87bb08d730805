# Actions of the plan, one after the other, and what is printed of each.
#
# The program makes one node what its plan says. It runs as root under any POSIX shell; it is unpacked with its
# payload into a private directory, from where `actions` calls its functions in the plan's order.
#
# Its records: `start N`, `done N HUNDREDTHS`, `fail N`, `log N TEXT`, `key N PUBLIC`, `beat`, `end`. What commands
# print goes to a file, which is shown when the action fails.
#
# Set before it: state (fabnode's directory on the node), work (this run's), tar (what unpacks).
# shellcheck shell=sh disable=SC2154 # state: see above

number=-

seconds() { # hundredths of a second since boot, without starting a process
	read -r up _ </proc/uptime
	up=${up%.*}${up#*.}
}

act() { # act N FUNCTION ARGUMENT…: one change of the plan
	number=$1
	shift
	say start "$number"
	seconds
	began=$up
	"$@" 4>&1 >log 2>&1 || failed
	seconds
	say "done" "$number" $((up - began))
}

failed() {
	say fail "$number"
	# First, for it explains the rest, and the rest may have found no place in the log.
	[ "$(stat -f -c %a .)" -gt 0 ] || say log "$number" "no space left in $state"
	tail -n 25 log | while IFS= read -r text || [ -n "$text" ]; do say log "$number" "$text"; done
	exit 1
}
