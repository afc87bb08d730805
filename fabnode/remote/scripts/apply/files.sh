# Files and directories.
# shellcheck shell=sh disable=SC2154 # set by parts before it

put() { # put MEMBER PATH MODE SHA256: a sibling takes the path's place at once, or nothing happens
	need "$1" && beside "$2" || return
	(set -C && unpack "$1" >"$new") && holds "$new" "$4" "$2" && take "$2" "$3" "$4" || {
		rm -f "$new"
		return 1
	}
	rm -f "$1"
}

holds() { # holds FILE SHA256 NAME: what was promised, or say that NAME is something else
	found=$(sha256sum <"$1") && [ "${found%% *}" = "$2" ] || {
		echo "$3: the sha256 of what came is ${found%% *}, promised was $2"
		return 1
	}
}

beside() { # beside PATH: names the sibling, $new, which is not there
	(umask 022 && mkdir -p "${1%/*}") || return
	new=${1%/*}/.${1##*/}.fabnode
	rm -f "$new"
}

take() { # take PATH MODE SHA256: the sibling, which holds that content, takes the path's place
	own "$new" "$2" && mv -fT "$new" "$1" || return
	new=
	# So that the next look needs not hash it; the fields are the probe's.
	[ ! -d "$state" ] || stat -c "$3|%s|%i|%y|%z|%n" -- "$1" >>"$state/digests"
}

own() { # own PATH MODE: root's, with that mode; what a symlink leads to is left alone
	[ ! -h "$1" ] || {
		echo "$1 is a symlink"
		return 1
	}
	chmod "$2" "$1" && chown -h 0:0 "$1"
}

pull() { # pull URL SIZE PATH MODE SHA256: the same, but the host fetches it
	beside "$3" || return
	fetch "$1" "$2" "$5" "$new" && take "$3" "$4" "$5" || {
		rm -f "$new"
		return 1
	}
}

file() { # file MEMBER PATH MODE SHA256
	put "$@"
}

mode() { # mode PATH MODE
	# A file that has another name elsewhere keeps its mode there: ours becomes a copy.
	if [ -f "$1" ] && [ "$(stat -c %h -- "$1")" -gt 1 ]; then
		new=${1%/*}/.${1##*/}.fabnode
		rm -f "$new" && (set -C && cat -- "$1" >"$new") && own "$new" "$2" && mv -fT "$new" "$1" || return
		new=
	fi
	own "$1" "$2"
}

directory() { # directory PATH MODE
	(umask 022 && mkdir -p "$1") && mode "$1" "$2"
}

remove() { # remove PATH
	rm -f "$1"
}

edit() { # edit MEMBER PATH MODE SHA256 BEFORE: only what was read is replaced
	echo "$5  $2" | sha256sum -c >/dev/null 2>&1 || {
		echo "$2 is not what it was a moment ago"
		return 1
	}
	file "$1" "$2" "$3" "$4"
}
