# Files and folders: what they are, their digests, the text of some.
#
# Hashing costs more than all else, so the record keeps `sha256|size|inode|mtime|ctime|path` of
# files as they were; only those that have changed since are hashed again.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

secret_pattern='PRIVATE KEY-----|client-key-data|(^|[[:space:]"'\''{,])(auth|token|identitytoken|password)["'\'']?[[:space:]]*[:=][[:space:]]*["'\'']?[^[:space:]"'\'']'

own_state= # nobody else's record is believed, nor what others could have put there
! is_own_state "$state" || own_state=1
record=$nl
[ "$deep" = 1 ] || [ -z "$own_state" ] || [ ! -f "$state/digests" ] || record="$nl$(cat "$state/digests")$nl"
known= unknown= texts= sizes= links= digests=$nl
now=${clock%.*}

# Mode (hex), owner, group, ctime in seconds, then what the record holds.
for line in $(stat -c '%f|%u|%g|%Z|%s|%i|%y|%z|%n' -- $text $opaque $folders 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	path=${line##*|}
	emit path "$1" "$2" "$3" "$5" "$path"
	case $1 in
	8???) ;; # regular files only
	a???)
		case $nl$folders$nl in *"$nl$path$nl"*) links=$links$path$nl ;; esac
		continue
		;;
	*) continue ;;
	esac
	version="$5|$6|$7|$8|$path"
	case $record in
	*"|$version$nl"*)
		before=${record%%"|$version$nl"*}
		emit digest "${before##*"$nl"}" "$path"
		digests="$digests${before##*"$nl"}  $path$nl"
		known="$known${before##*"$nl"}|$version$nl"
		;;
	*)
		unknown="$unknown$path$nl"
		# A file that changed just now may change again without a change of its times.
		[ $((now - $4)) -gt 2 ] && known="$known?$path|$version$nl"
		;;
	esac
	case "$nl$text$nl" in
	*"$nl$path$nl"*)
		[ "$5" -gt "$most_text_size" ] || texts=$texts$path$nl sizes=$sizes$5$nl
		;;
	esac
done

if [ -n "$unknown" ]; then
	for line in $(sha256sum -- $unknown); do
		digest=${line%%  *} path=${line#*  }
		emit digest "$digest" "$path"
		digests=$digests$line$nl
		case $known in *"?$path|"*) known="${known%%"?$path|"*}$digest|${known#*"?$path|"}" ;; esac
	done
	if [ -n "$own_state" ] && [ "$nl$known" != "$record" ]; then
		printf %s "$known" >"$state/digests.$$" && mv -f "$state/digests.$$" "$state/digests"
	fi
fi 2>/dev/null

# Where a system folder is a symlink, whoever may write on the way there counts as well.
targets=
for link in $links; do
	real=$(readlink -f -- "$link") || continue
	while [ -n "$real" ]; do
		targets=$targets$real$nl
		real=${real%/*}
	done
done
[ -z "$targets" ] || for line in $(stat -c '%f|%u|%g|%s|%n' -- $targets 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	emit path "$1" "$2" "$3" "$4" "${line##*|}"
done

# One after the other; their sizes say where each ends, and their digests whether one changed meanwhile.
# Where another tool's file of that name holds a key, a token or a password, it stays on the host.
if [ -n "$texts" ]; then
	secrets=$(grep -liE "$secret_pattern" -- $texts 2>/dev/null)
	shown=
	set -- $sizes
	for path in $texts; do
		case $nl$secrets$nl in
		*"$nl$path$nl"*) ;;
		*)
			emit text "$1" "$path"
			shown=$shown$path$nl
			;;
		esac
		shift
	done
	[ -z "$shown" ] || emit texts "$(cat -- $shown 2>/dev/null | base64 -w 0)"
fi
