# Provenance: what root alone controls, and what others could have written. Only the first is believed.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

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
