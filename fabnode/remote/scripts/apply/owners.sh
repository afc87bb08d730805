# Owners of programs: what others than root may change is not run.
# shellcheck shell=sh

require_roots_program() { # require_roots_program PROGRAM: or it is not run, and why is reported
	is_roots_program "$1" || {
		echo "others than root may change $1, or a folder or link on the way to it: it is not run" >&2
		return 1
	}
}
