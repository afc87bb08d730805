# Files and directories: written beside their place and renamed into it.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

install_file() { # install_file MEMBER PATH MODE SHA256: the whole file at once, or nothing happens
	wait_member "$1" && verify_member "$1" "$4" "$2" && prepare_sibling "$2" || return
	(set -C && unpack_member "$1" >"$sibling") && move_sibling "$2" "$3" "$4" || {
		rm -f "$sibling"
		return 1
	}
	rm -f "$1"
}

replace_file() { # replace_file MEMBER PATH MODE SHA256 BEFORE: only if the file is still the one that was read
	echo "$5  $2" | sha256sum -c >/dev/null 2>&1 || {
		echo "$2 is not what it was a moment ago"
		return 1
	}
	install_file "$1" "$2" "$3" "$4"
}

prepare_sibling() { # prepare_sibling PATH: names $sibling, a file beside it that does not exist
	[ -d "${1%/*}" ] || (umask 022 && mkdir -p "${1%/*}") || return
	sibling=${1%/*}/.${1##*/}.fabnode
	[ ! -e "$sibling" ] && [ ! -h "$sibling" ] || rm -f "$sibling"
}

move_sibling() { # move_sibling PATH MODE SHA256: $sibling, which has that digest, becomes PATH
	own_by_root "$sibling" "$2" && keep_previous "$1" && mv -fT "$sibling" "$1" || return
	sibling=
	# So that the next probe need not hash it; the fields are the probe's.
	[ ! -d "$state" ] || stat -c "$3|%s|%i|%y|%z|%n" -- "$1" >>"$state/digests"
	note_written "$1"
	record_written "$1"
}

record_written() { # record_written PATH: what a reset may take away, for it is fabnode's
	[ ! -d "$state" ] || grep -qsxF -e "$1" "$state/written" || {
		printf '%s\n' "$1" >>"$state/written" && note_written "$state/written"
	}
}

own_group= # of root here; new files have it

own_by_root() { # own_by_root PATH MODE: owner and mode; never those of a symlink's target
	[ ! -h "$1" ] || {
		echo "$1 is a symlink"
		return 1
	}
	chmod "$2" "$1" || return
	# shellcheck disable=SC3066,SC3067 # dash, bash and busybox know -O and -G
	[ -O "$1" ] && [ -G "$1" ] && [ "${own_group:=$(id -g)}" = 0 ] || chown -h 0:0 "$1"
}

is_roots_to_write() { # is_roots_to_write FILE: root alone may write it, by its owner and mode
	# shellcheck disable=SC3067 # dash, bash and busybox know -O
	[ -O "$1" ] && case $(stat -c %A -- "$1") in ?????w* | ????????w* | '') return 1 ;; esac
}

set_mode() { # set_mode PATH MODE: of a folder, or of a file that root alone could write
	# Who has it open goes on writing it under any mode.
	[ ! -f "$1" ] || [ -h "$1" ] || is_roots_to_write "$1" || {
		echo "$1: others than root could write it, and no mode takes that back"
		return 1
	}
	# A file that has another name elsewhere keeps its mode there: this one becomes a copy.
	if [ -f "$1" ] && [ "$(stat -c %h -- "$1")" -gt 1 ]; then
		sibling=${1%/*}/.${1##*/}.fabnode
		rm -f "$sibling" && (set -C && cat -- "$1" >"$sibling") && own_by_root "$sibling" "$2" && mv -fT "$sibling" "$1" || return
		sibling=
	fi
	own_by_root "$1" "$2" && note_written "$1"
}

make_directory() { # make_directory PATH MODE
	(umask 022 && mkdir -p "$1") && set_mode "$1" "$2"
}

remove_file() { # remove_file PATH
	rm -f "$1" && note_written "$1"
}
