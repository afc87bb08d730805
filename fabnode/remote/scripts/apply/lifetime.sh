# The end of a run, however it comes, and the heartbeat that notices that nobody reads.
# shellcheck shell=sh disable=SC2154 # set before: work, tar

leaving= beat= new=

# What must not outlive this run, however it ends: the payload, a file half written, and what
# `leaves` names.
tidy() {
	# shellcheck disable=SC2086 # it may be empty
	kill $beat "$tar" 2>/dev/null
	cd / && rm -rf "$work"
	[ -z "$leaving" ] || rm -f "$leaving"
	back
	[ -z "$new" ] || rm -f "$new"
}

leaves() { leaving=$1; }

# A deployer that died no longer reads: within a second the beat fails, and ends us.
beat() {
	trap '' PIPE
	# Nothing of ours holds the output open when the rest is done.
	# The work directory goes last: a signal that came too early to be heard must not leave us here.
	while [ -d "$work" ]; do
		printf 'beat\n' 2>/dev/null || {
			kill -TERM $$ 2>/dev/null
			return
		}
		sleep 1 >/dev/null 2>&1
	done
}

trap tidy EXIT
trap 'exit 143' HUP INT PIPE TERM # PIPE: what we say next is read by nobody
beat 9>&- &
beat=$!
