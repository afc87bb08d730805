# Programs of this host that are copied or go, once they have cleaned up.
# shellcheck shell=sh disable=SC2154 # sibling: see apply/lifetime

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
