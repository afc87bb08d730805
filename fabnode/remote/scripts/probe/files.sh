# Files and folders: what they are, their digests, the text of some.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

#
# Hashing costs more than all else, so the record keeps `sha256|size|inode|mtime|ctime|path` of
# files as they were; only what looks different now is hashed again.

own=
# shellcheck disable=SC3067 # dash, bash and busybox know -O
[ -d "$state" ] && [ ! -h "$state" ] && [ -O "$state" ] && own=1 # nobody else's record is believed
record=$nl
[ "$deep" = 1 ] || [ -z "$own" ] || [ ! -f "$state/digests" ] || record="$nl$(cat "$state/digests")$nl"
kept= unknown= texts= links=
now=${clock%.*}

# Mode (hex), owner, group, ctime in seconds, then what the record holds.
for line in $(stat -c '%f|%u|%g|%Z|%s|%i|%y|%z|%n' -- $text $opaque $folders 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	path=${line##*|}
	say path "$1" "$2" "$3" "$5" "$path"
	case $1 in
	8???) ;; # regular files only
	a???)
		case $nl$folders$nl in *"$nl$path$nl"*) links=$links$path$nl ;; esac
		continue
		;;
	*) continue ;;
	esac
	like="$5|$6|$7|$8|$path"
	case $record in
	*"|$like$nl"*)
		before=${record%%"|$like$nl"*}
		say digest "${before##*"$nl"}" "$path"
		kept="$kept${before##*"$nl"}|$like$nl"
		;;
	*)
		unknown="$unknown$path$nl"
		# What changed just now may change again without its times telling.
		[ $((now - $4)) -gt 2 ] && kept="$kept?$path|$like$nl"
		;;
	esac
	case "$nl$text$nl" in
	*"$nl$path$nl"*)
		if [ "$5" -le "$most_text_size" ]; then
			say text "$5" "$path"
			texts=$texts$path$nl
		fi
		;;
	esac
done

if [ -n "$unknown" ]; then
	for line in $(sha256sum -- $unknown); do
		digest=${line%%  *} path=${line#*  }
		say digest "$digest" "$path"
		case $kept in *"?$path|"*) kept="${kept%%"?$path|"*}$digest|${kept#*"?$path|"}" ;; esac
	done
	if [ -n "$own" ] && [ "$nl$kept" != "$record" ]; then
		printf %s "$kept" >"$state/digests.$$" && mv -f "$state/digests.$$" "$state/digests"
	fi
fi 2>/dev/null

# Where a system folder is a symlink, whoever may write on the way there counts as well.
chain=
for link in $links; do
	real=$(readlink -f -- "$link") || continue
	while [ -n "$real" ]; do
		chain=$chain$real$nl
		real=${real%/*}
	done
done
[ -z "$chain" ] || for line in $(stat -c '%f|%u|%g|%s|%n' -- $chain 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	say path "$1" "$2" "$3" "$4" "${line##*|}"
done

# One after the other, as their sizes say; their digests tell if one changed under our hands.
[ -z "$texts" ] || say texts "$(cat -- $texts 2>/dev/null | base64 -w 0)"
