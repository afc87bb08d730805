# Folders of others in them.
# shellcheck shell=sh disable=SC2034,SC2154,SC2086 # parts share variables; lists are split at line ends on purpose

as_owner() { # as_owner FOLDER ARGUMENT…: find within it, with its owner's rights alone
	as_in=$1
	shift
	(cd -P -- "$as_in/" 2>/dev/null && [ "$(pwd -P)" = "$as_in" ] && seek ./ "$@")
}

until=$(($(date +%s) + 120))
for entry in $later; do
	root=${entry%%"$tab"*} entry=${entry#*"$tab"}
	real=${entry%%"$tab"*} place=${entry#*"$tab"}
	spent=0
	[ "$(date +%s)" -lt "$until" ] || {
		say limit "$place: the time for folders that others may write was up"
		continue
	}
	[ $nofollow = 1 ] || {
		say limit "$place: others may write it, and this host's dd has no iflag=nofollow"
		continue
	}
	uid=$(stat -c %u -- "$place") gid=$(stat -c %g -- "$place") || continue
	[ "$uid" != 0 ] || uid=65534
	[ "$gid" != 0 ] || gid=65534
	listed=
	if [ $can_drop = 1 ]; then
		with="timeout${nl}-k${nl}2${nl}10${nl}setpriv${nl}--reuid=$uid${nl}--regid=$gid${nl}--clear-groups"
		listed=$(as_owner "$place" -type f -size -128 -exec grep $skip -slE "$holding" {} +)
		in_time $? "$place"
		listed=$listed$nl$(as_owner "$place" -type f -size -16 \
			\( -name '*token*.csv' -o -name 'basic*auth*.csv' \) -exec grep $skip -slE "$token_list" {} +)
		# What its owner can't read may be root's.
		with="timeout${nl}-k${nl}2${nl}10"
		rest=$(as_owner "$place" -type f -size -128 ! -user "$uid" -print)
	else
		with="timeout${nl}-k${nl}2${nl}10"
		rest=$(as_owner "$place" -type f -size -128 -print)
	fi
	in_time $? "$place"
	count=0
	for one in $rest; do
		case $nl$listed$nl in *"$nl$one$nl"*) continue ;; esac
		count=$((count + 1))
		[ $count -le 200 ] || {
			say limit "$place: files of others than its owner, beyond the first 200"
			break
		}
		one=$place${one#.}
		take "$one" "${one%/*}" | holds_something "${one##*/}" || continue
		listed=$listed$nl.${one#"$place"}
	done
	found=
	for one in $listed; do found=$found$place${one#.}$nl; done
	tell_all "$most_others_files" "$place"
done
