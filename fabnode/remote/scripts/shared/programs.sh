# Programs that lie where the configuration says: root runs them only where they are root's alone.
#
# A PATH is judged before the shell is started (ssh/exec.py); a program that is called by its path is
# not. An archive that root unpacked may have brought an owner of its own, and a folder a group.
# shellcheck shell=sh disable=SC2154 # set by shared/base and shared/provenance

is_roots_program() ( # is_roots_program PROGRAM: its file, and every folder and link on the way to it
	case $1 in
	/*) ;;
	*/*) exit 1 ;;
	*) exit 0 ;; # by the PATH
	esac
	IFS=$nl
	set -f
	[ -f "$1" ] || exit 1
	judge_folder "$1"
	[ "$controlled" = 1 ]
)
