# Lifetime of a run: its heartbeat, and its clean-up however it ends.
# shellcheck shell=sh disable=SC2154 # state, work and tar are set before, see apply/actions

temporary= heartbeat= sibling= follower=
# Functions of other parts, which are called however the run ends, in the order of the parts.
at_exit= reports=

# What must not outlive this run: the payload, the file that is being written (apply/files.sh), and
# the one that `delete_at_exit` names.
clean_up() {
	# shellcheck disable=SC2086 # it may be empty
	kill $heartbeat $follower "$tar" 2>/dev/null
	cd / && rm -rf "$work"
	[ -z "$temporary" ] || rm -f "$temporary"
	IFS=' '
	for each in $at_exit; do "$each"; done
	[ -z "$sibling" ] || rm -f "$sibling"
	for each in $reports; do "$each"; done # last: where nobody reads them, this ends here
}

delete_at_exit() { temporary=$1; }

# When the deployer has died, nobody reads: within a second the heartbeat fails, and ends this run.
send_heartbeats() {
	trap '' PIPE
	# None of its processes holds the output open when the rest is done.
	# The work directory is removed last: a signal that came before the trap must not leave this loop.
	while [ -d "$work" ]; do
		printf 'beat\n' 2>/dev/null || {
			kill -TERM $$ 2>/dev/null
			return
		}
		sleep 1 >/dev/null 2>&1
	done
}

trap clean_up EXIT
trap 'exit 143' HUP INT PIPE TERM # PIPE: nobody reads what is printed next
send_heartbeats 9>&- &
heartbeat=$!

remove_old_parts() { # which a host served that went down in the middle; what is served now stays
	set +f
	for left in "$state"/relay.*; do
		set -f
		[ -d "$left" ] || continue
		systemctl is-active --quiet "fabnode-relay-${left##*.}.service" || rm -rf "$left"
	done
	set -f
}
remove_old_parts
