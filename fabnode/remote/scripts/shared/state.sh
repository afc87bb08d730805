# fabnode's own folder on a host: believed only where nobody else could have put anything there.
#
# A folder that was open to others once still holds what they left, whatever its mode is by now: folders
# and files of theirs, or that are open still, and links. What was kept of a host may be anybody's: it is
# judged by its folders here, and by the record of the host as it was.
# shellcheck shell=sh

# `none` is printed by a search that came to its end: a host without find has been asked nothing. Where an
# apply is at work, files come and go, which would end it early: what is in there is nobody's to believe.
others_in_state() { # others_in_state FOLDER: prints what somebody else put there, or `none`
	{
		find "$1" \( ! -path "$1/apply.*" -o -prune \) \( -type d -o -type l -o ! -path "$1/before/*" ! -path "$1/quarantine/*" \) \
			\( ! -user "$(id -u)" -o ! -type l \( -perm -020 -o -perm -002 \) \) && echo none
	} 2>/dev/null | head -n 1
}

# shellcheck disable=SC3067 # dash, bash and busybox know -O
is_own_state() { # is_own_state FOLDER
	[ -d "$1" ] && [ ! -h "$1" ] && [ -O "$1" ] || return
	case $(stat -c %A -- "$1") in ?????w* | ????????w*) return 1 ;; esac
	[ "$(others_in_state "$1")" = none ]
}
