# The set that a node runs with, kept before an upgrade and restored as a whole where that fails.
#
# It is a folder of links (or copies) and a list: a line for each file, `NUMBER PATH`, or `- PATH` where
# there was none; a symlink is kept as such, wherever it leads. For each unit it has `unit NAME` where it
# starts again with what is restored, `off NAME` where it did not run, `new NAME` where there was none; and
# `enabled NAME` or `disabled NAME`, as it was.
# Sets of an older fabnode know `unit NAME` alone, which may be new as well.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

halt_service() { # halt_service UNIT: for now; at boot it starts as before
	timeout 120 systemctl stop -- "$1" || {
		echo "$1 could not be stopped"
		return 1
	}
	read_unit "$1"
	case $ActiveState in inactive | failed) ;; *)
		echo "$1 is still $ActiveState"
		return 1
		;;
	esac
	systemctl reset-failed -- "$1" 2>/dev/null || :
}

# What is there is what ran before, whoever kept it: it gives way to nothing until a node is proved. An
# upgrade that finds such a set goes on with it, and adds what it replaces besides.
keep_set() { # keep_set TAG UNIT… PATH… =PATH…: what is not kept yet; =: a copy
	kept=$state/kept into=$state/kept tag=$1
	shift
	[ -f "$kept/tag" ] && [ -f "$kept/list" ] || {
		into=$kept.new
		rm -rf "$kept" "$into" && (umask 077 && mkdir "$into") && : >"$into/list" || return
	}
	count=$(wc -l <"$into/list") # no number in the list is greater
	{ cat "$into/list" && keep_more "$into" "$@"; } >"$into/list.new" || return
	find "$into" -type f -exec sync -- {} + && mv -f "$into/list.new" "$into/list" || return
	printf '%s\n' "$tag" >"$into/tag.new" && sync -- "$into/tag.new" && mv -f "$into/tag.new" "$into/tag" || return
	[ "$into" = "$kept" ] || { mv -T "$into" "$kept" && note_written "$kept"; }
}

keep_more() { # keep_more FOLDER UNIT… PATH… =PATH…: prints a line for each that is not in its list
	folder=$1
	shift
	for name; do
		path=${name#=}
		! cut -d ' ' -f 2- "$folder/list" | grep -qxF -e "$path" || continue
		count=$((count + 1))
		if [ "$path" = "${path#/}" ]; then
			keep_unit "$name"
			# With the record of its start: else the next run would start it again.
			path=$state/stamps/$name
		fi
		if [ -h "$path" ] && [ "$name" = "$path" ]; then
			echo "$count $path"
			rm -f -- "$folder/$count" && cp -pP -- "$path" "$folder/$count" || return
		elif [ ! -e "$path" ] && [ ! -h "$path" ]; then
			echo "- $path"
		elif [ -h "$path" ] || [ ! -f "$path" ]; then
			echo "$path is no plain file: check what it is, move it away, and run this again" >&2
			return 1
		elif ! is_roots_file "$path"; then
			echo "others than root may change $path: check its content, rewrite it, and run this again" >&2
			return 1
		else
			echo "$count $path"
			rm -f -- "$folder/$count" || return # of a run that was cut off
			{ [ "$name" = "$path" ] && ln -T -- "$path" "$folder/$count" 2>/dev/null; } ||
				cp -p -- "$path" "$folder/$count" || return
		fi
	done
}

# One that is enabled starts on the way back, whether it ran or not: it would at the next boot.
keep_unit() { # keep_unit UNIT: prints the lines that tell how it is
	read_unit "$1"
	at_boot=$(systemctl is-enabled -- "$1" 2>/dev/null)
	case $at_boot in
	enabled*) at_boot=enabled ;;
	disabled) at_boot=disabled ;;
	static | alias | indirect | generated) at_boot= ;; # nothing to put back
	*)
		at_boot=
		! is_unknown "$1" || at_boot=new
		;;
	esac
	case $at_boot/$ActiveState in
	new/*) echo "new $1" ;;
	disabled/inactive | disabled/failed) echo "off $1" ;;
	*) echo "unit $1" ;;
	esac
	case $at_boot in enabled | disabled) echo "$at_boot $1" ;; esac
}

is_unknown() { # is_unknown UNIT: to systemd; one that it does not tell of is known
	[ "$(systemctl show -p LoadState -- "$1")" = LoadState=not-found ]
}

is_new_unit() { # is_new_unit KIND UNIT: was there none, by the set that is kept?
	[ "$1" != new ] || return 0
	[ "$1" = unit ] && grep -q -e "^- .*/systemd/system/$2\$" "$state/kept/list" &&
		! grep -qxE -e "(en|dis)abled $2" "$state/kept/list" &&
		[ ! -e "/usr/lib/systemd/system/$2" ] && [ ! -e "/lib/systemd/system/$2" ]
}

# One that does not stop is no reason to leave the node without what it ran before: it is `failed`.
put_out_units() { # put_out_units KIND UNIT…: those that did not run; new ones for good, while their files are there
	kept_as=$1
	shift
	for unit; do
		if is_unknown "$unit"; then
			# It may run on without its file, since an earlier way back.
			read_unit "$unit"
			case $ActiveState in '' | inactive | failed) continue ;; esac
		elif [ "$kept_as" = new ]; then
			systemctl disable -q -- "$unit" || failed="$failed $unit"
		fi
		halt_service "$unit" || failed="$failed $unit"
	done
}

restore_kept_file() { # restore_kept_file NUMBER|- PATH
	kept=$state/kept/$1
	[ ! -h "$2" ] || [ ! -h "$kept" ] || [ "$(readlink -- "$2")" != "$(readlink -- "$kept")" ] || return 0
	[ ! -h "$2" ] || {
		echo "$2 is a symlink"
		return 1
	}
	note_written "$2"
	if [ "$1" = - ]; then
		rm -f -- "$2"
		return
	fi
	prepare_sibling "$2" || return
	ln -T -- "$kept" "$sibling" 2>/dev/null || cp -pP -- "$kept" "$sibling" || return
	# Two names of one file: a rename of one to the other would leave both.
	if [ ! -h "$sibling" ] && [ "$sibling" -ef "$2" ]; then rm -f "$sibling"; else mv -fT "$sibling" "$2" || return; fi
	sibling=
}

restore_kept() { # restore_kept TAG: the whole set, then its units, in the order in which they were named
	[ "$(cat "$state/kept/tag" 2>/dev/null)" = "$1" ] && [ -f "$state/kept/list" ] || {
		echo "nothing of this upgrade is kept in $state/kept"
		return 1
	}
	units= new= off= at_boot= failed=
	while read -r kept_as path; do
		case $kept_as in
		unit | new) if is_new_unit "$kept_as" "$path"; then new="$new $path"; else units="$units $path"; fi ;;
		off) off="$off $path" ;;
		enabled) at_boot="$at_boot enable $path" ;;
		disabled) at_boot="$at_boot disable $path" ;;
		esac
	done <"$state/kept/list"
	IFS=' '
	# shellcheck disable=SC2086 # a list
	put_out_units new $new
	# shellcheck disable=SC2086 # a list
	put_out_units off $off
	while read -r kept_as path; do
		case $kept_as in
		unit | new | off | enabled | disabled) ;;
		*) restore_kept_file "$kept_as" "$path" || return ;;
		esac
	done <"$state/kept/list"
	fallbacks=
	# shellcheck disable=SC2086 # a list
	set -- $at_boot
	while [ $# -gt 0 ]; do
		systemctl "$1" -q --no-reload -- "$2" || return
		shift 2
	done
	systemctl daemon-reload || return
	# shellcheck disable=SC2086 # a list
	set -- $units
	# One that does not start keeps no other down, the kubelet least of all.
	for unit; do restart_unit "$unit" || failed="$failed $unit"; done
	settle_units && [ -z "$failed" ]
}

forget_kept() { # all of it at once, or nothing: half a set would be taken for a whole one
	rm -rf "$state/kept.new" || return
	[ ! -e "$state/kept" ] || mv -T "$state/kept" "$state/kept.new" || return
	note_written "$state/kept"
	rm -rf "$state/kept.new"
}
