# Provenance of a path: whether nobody but root can have put there what lies there.
#
# Before it: what defines `quiet` (shared/started or shared/quiet). With lists that end at lines.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

# Walks a path, and the targets of the links on it, from the top: one `stat` for each. Sets
# $controlled: nobody but root can put something else in the place of anything on the way, or into
# the folder or file at its end; sets $reachable: others may enter.
judge_folder() { # judge_folder PATH: a folder's, or a file's
	controlled=1 reachable=1 todo=$1 walks=0
	while [ -n "$todo" ]; do
		walk=${todo%%"$nl"*}
		case $todo in *"$nl"*) todo=${todo#*"$nl"} ;; *) todo= ;; esac
		walks=$((walks + 1))
		[ $walks -le 8 ] || {
			controlled=0
			return
		}
		step_paths=
		step_rest=$walk
		while [ -n "$step_rest" ]; do
			step_paths=$step_rest${step_paths:+$nl$step_paths}
			step_rest=${step_rest%/*}
		done
		step_paths=/${step_paths:+$nl$step_paths}
		steps=$(quiet timeout 5 stat -c '%f %u %n' -- $step_paths) || controlled=0
		for step in $steps; do
			step_bits=$((0x${step%% *})) step=${step#* }
			step_owner=${step%% *} step_name=${step#* }
			[ "$step_owner" = 0 ] || controlled=0
			if [ $((step_bits & 0170000)) -eq $((0120000)) ]; then
				step_target=$(quiet readlink -- "$step_name")
				case $step_target in /*) ;; *) step_target=${step_name%/*}/$step_target ;; esac
				todo=$todo${todo:+$nl}$step_target
				continue
			fi
			# shellcheck disable=SC2034 # the examination's alone
			[ $((step_bits & 1)) -ne 0 ] || reachable=0
			[ $((step_bits & 022)) -eq 0 ] || {
				# Nobody deletes root's files in a sticky folder, but anybody may add to it.
				[ $((step_bits & 01000)) -ne 0 ] && [ "$step_name" != "$walk" ] || controlled=0
			}
		done
	done
}
