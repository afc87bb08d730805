# Folders that others may write, within root's: searched with the rights of their owners.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

find_within() { # find_within FOLDER ARGUMENT…: entered first, for others may exchange it
	within=$1
	shift
	(cd -P -- "$within/" 2>/dev/null && [ "$(pwd -P)" = "$within" ] && find_below ./ "$@")
}

deadline=$(($(date +%s) + 120))
for entry in $others_folders; do
	root=${entry%%"$tab"*} entry=${entry#*"$tab"}
	real=${entry%%"$tab"*} place=${entry#*"$tab"}
	spent=0
	[ "$(date +%s)" -lt "$deadline" ] || {
		emit limit "$place: the time for folders that others may write was up"
		continue
	}
	[ $can_nofollow = 1 ] || {
		emit limit "$place: others may write it, and this host's dd has no iflag=nofollow"
		continue
	}
	entry=$(quiet stat -c '%u %g' -- "$place") || {
		emit limit "$place: it went while it was examined"
		continue
	}
	uid=${entry% *} gid=${entry#* }
	[ "$uid" != 0 ] || uid=65534
	[ "$gid" != 0 ] || gid=65534
	listed=
	if [ $can_setpriv = 1 ]; then
		find_prefix="timeout${nl}-k${nl}2${nl}10${nl}$(print_owners_rights "$uid" "$gid")" denied='|Permission denied'
		search "$place" find_within "$place" -type f -size -128 -exec grep $grep_skip -lE "$credential_pattern" {} +
		listed=$found
		search "$place: lists of tokens" find_within "$place" -type f -size -16 \
			\( -name '*token*.csv' -o -name 'basic*auth*.csv' \) -exec grep $grep_skip -lE "$token_list_pattern" {} +
		listed=$listed$nl$found
		# What its owner can't read may be root's.
		find_prefix="timeout${nl}-k${nl}2${nl}10" denied=
		search "$place" find_within "$place" -type f -size -128 ! -user "$uid" -print
	else
		find_prefix="timeout${nl}-k${nl}2${nl}10"
		search "$place" find_within "$place" -type f -size -128 -print
	fi
	count=0
	for file in $found; do
		[ "$file" != /dev/null ] || continue
		case $nl$listed$nl in *"$nl$file$nl"*) continue ;; esac
		count=$((count + 1))
		[ $count -le 200 ] || {
			emit limit "$place: files of others than its owner, beyond the first 200"
			break
		}
		file=$place${file#.}
		read_file "$file" "${file%/*}" | holds_credentials "${file##*/}" || continue
		listed=$listed$nl.${file#"$place"}
	done
	found=
	for file in $listed; do
		[ "$file" = /dev/null ] || found=$found$place${file#.}$nl
	done
	emit_files "$most_others_files" "$place"
done
