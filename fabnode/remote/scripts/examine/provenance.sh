# Provenance: what root alone controls, and what others could have written. Only the first is believed.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at line ends on purpose

# Walks a folder's path, and the targets of the links on it, from the top. Sets $controlled: nobody
# but root can put something else in the place of anything on the way, or into the folder; sets
# $reachable: others may enter.
judge_folder() { # judge_folder FOLDER
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
			[ $((step_bits & 1)) -ne 0 ] || reachable=0
			[ $((step_bits & 022)) -eq 0 ] || {
				# Nobody deletes root's files in a sticky folder, but anybody may add to it.
				[ $((step_bits & 01000)) -ne 0 ] && [ "$step_name" != "$walk" ] || controlled=0
			}
		done
	done
}

# Whether root alone decides what is in a file, and which file lies at its path.
is_roots_file() { # is_roots_file FILE: not a symlink
	[ -f "$1" ] && [ ! -L "$1" ] || return 1
	file_stat=$(quiet stat -c '%u %a' -- "$1") || return 1
	[ "${file_stat%% *}" = 0 ] && [ $((0${file_stat#* } & 022)) -eq 0 ] || return 1
	judge_folder "${1%/*}"
	[ $controlled = 1 ]
}

# Whether a process is root's in every way: its users, its namespaces, the file that it runs.
is_roots_process() { # is_roots_process PID: sets $exe, its file; if it is not, $mismatch: control or namespaces
	mismatch=namespaces
	case $1 in '' | 0 | *[!0-9]*) return 1 ;; esac
	[ -e "/proc/$1/status" ] || return 1
	mismatch=control
	quiet grep -q "^Uid:${tab}0${tab}0${tab}0${tab}0\$" "/proc/$1/status" || return 1
	mismatch=namespaces
	for space in mnt pid user; do
		[ "$(quiet readlink "/proc/$1/ns/$space")" = "$(readlink /proc/self/ns/$space)" ] || return 1
	done
	[ "$(quiet stat -L -c %d:%i "/proc/$1/root/")" = "$root_directory" ] || return 1
	mismatch=control
	exe=$(quiet readlink "/proc/$1/exe") || return 1
	case $exe in /*) ;; *) return 1 ;; esac
	case $exe in *"$nl"*) return 1 ;; esac
	[ "$(quiet stat -L -c %d:%i "/proc/$1/exe")" = "$(quiet stat -c %d:%i -- "$exe")" ] && is_roots_file "$exe"
}

root_directory=$(stat -L -c %d:%i /)
