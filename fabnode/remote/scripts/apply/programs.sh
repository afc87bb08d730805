# Programs of this host: run or copied only where they are root's alone.
# shellcheck shell=sh disable=SC2154 # sibling: see apply/lifetime

require_roots_program() { # require_roots_program PROGRAM: or it is not run, and why is reported
	is_roots_program "$1" || {
		echo "others than root may change $1, or a folder or link on the way to it: it is not run" >&2
		return 1
	}
}

# Nobody but root can put another file there meanwhile: what was hashed is what was seen, and nothing of it is run.
copy_program() { # copy_program SOURCE SIZE PATH MODE SHA256: the whole file at once, or nothing happens
	[ -f "$1" ] && [ ! -h "$1" ] && is_roots_program "$1" || {
		echo "$1, which was to be copied to $3, is gone, or others than root may change it by now"
		return 1
	}
	prepare_sibling "$3" || return
	(set -C && head -c $(($2 + 1)) "$1" >"$sibling") && verify_digest "$sibling" "$5" "$1, to be copied to $3" && move_sibling "$3" "$4" "$5" || {
		rm -f "$sibling"
		return 1
	}
}

retire_program() { # retire_program PATH ARGUMENT…: takes away what it left in the kernel, and goes
	# It fails for any part of the kernel that is not there; the rest goes with the next boot.
	[ ! -x "$1" ] || {
		require_roots_program "$1" || return
		timeout 60 "$@" || :
	}
	remove_file "$1"
}
