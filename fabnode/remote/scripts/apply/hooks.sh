# Hooks: commands of the site.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

mark_hooks() { # mark_hooks MARKER…: each is due until it has succeeded, in this run or a later one
	mkdir -p "$state/hooks" || exit
	for marker; do : >"$state/hooks/$marker" || exit; done
}

run_hook() { # run_hook MARKER SECONDS NAME=VALUE… COMMAND ARGUMENT…
	marker=$1 limit=$2
	shift 2
	# What it leaves running holds neither the lock nor the connection.
	(umask 022 && cd / && exec timeout -k 5 "$limit" env "$@") >hook.log 2>&1 4>&- 9>&-
	status=$?
	[ $status -ne 0 ] || {
		rm -f "$state/hooks/$marker"
		return
	}
	case $status in
	124 | 137) why="it did not end within $limit s" ;;
	*) why="it ended with status $status" ;;
	esac
	echo "$why: $(tail -n 1 hook.log | cut -c 1-400)"
	tail -n 20 hook.log | cut -c 1-400
	return 1
}
