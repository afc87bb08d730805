# Files with keys, certificates, kubeconfigs or tokens: what is printed of each.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

own= # files that are root's alone

# What is told of folders that others may write: bytes, of one folder and of all, and the time for it.
spent=0 spent_all=0 until=

in_bounds() { # in_bounds BYTES: whether there is room and time left for so much; root's are not counted
	[ "$trusted" = 0 ] || return 0
	spent=$((spent + $1)) spent_all=$((spent_all + $1))
	[ $spent -le "$most_others_bytes" ] && [ $spent_all -le "$most_all_others_bytes" ] && [ "$(date +%s)" -lt "$until" ]
}

tell() { # tell PATH SHOWN: all about one file; SHOWN is PATH below the root as it was given
	path=$1 shown=$2 folder=${1%/*}
	case $shown/ in
	*/kubelet/pods/* | */kubelet/plugins/* | */.ssh/* | */.cache/* | */node_modules/* | */.git/* | "$state"/*) return ;;
	esac
	[ "$folder" = "$last" ] || above "$folder"
	last=$folder trusted=$controlled
	entry=$(stat -c '%a %u' -- "$path") || return
	text=$(take "$path" "$folder")
	printf '%s\n' "$text" | holds_something "${path##*/}" || {
		say limit "$shown: it is not what it was a moment ago, or this host has no safe way to open it"
		return
	}
	in_bounds $((${#text} + 24 * ${#shown})) || {
		say limit "$shown: more than is read of folders that others may write, or the time for them was up"
		return
	}
	kind=pem
	case ${path##*/} in
	*token*.csv | basic*auth*.csv) ! printf '%s\n' "$text" | grep -qE "$token_list" || kind=csv ;;
	esac
	! printf '%s\n' "$text" | is_kubeconfig || kind=kubeconfig
	mode=${entry%% *} uid=${entry#* }
	say file "$mode" "$uid" "$reachable" "$controlled" "$kind" "$shown"
	[ "$uid" != 0 ] || [ $controlled = 0 ] || [ $((0$mode & 022)) -ne 0 ] || own=$own$shown$nl
	say blocks "$(printf '%s\n' "$text" | grep -c -e '-----BEGIN')" "$shown"
	keys=$(printf '%s\n' "$text" | grep -cE '^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----')
	[ "$keys" -le "$most_keys" ] || {
		keys=$most_keys
		say limit "$shown: keys beyond its first $most_keys"
	}
	number=0
	while [ $number -lt "$keys" ]; do
		number=$((number + 1))
		in_bounds 0 || {
			say limit "$shown: keys in it; the time for folders that others may write was up"
			break
		}
		say key "$(printf '%s\n' "$text" | awk -v want=$number '
			/^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/ { count++; on = count == want }
			on { print }
			/^-----END/ { on = 0 }' | public)" "$shown"
	done
	case $kind in
	csv) say token csv "$shown" ;;
	kubeconfig)
		# By words, not lines: it may be JSON.
		for data in $(printf '%s\n' "$text" | grep -oE 'client-certificate-data"?: *"?[A-Za-z0-9+/=]+' | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say certificate_data "$data" "$shown"
		done
		for data in $(printf '%s\n' "$text" | grep -oE 'client-key-data"?: *"?[A-Za-z0-9+/=]+' | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say key "$(printf %s "$data" | base64 -d 2>/dev/null | public)" "$shown"
		done
		printf '%s\n' "$text" | grep -oE '(^|[ {,"])token"?: *"?[^ ",}]+' | head -n "$most_keys" | sed 's/.*[: "]//' |
			while read -r token; do
				case $token in
				eyJ*.*.*) say token jwt "$shown" ;;
				??????.????????????????) say token bootstrap "$shown" ;;
				*) say token static "$shown" ;;
				esac
			done
		! printf '%s\n' "$text" | grep -qE '(^|[ {,"])password"?: *"?[^ ",}]' || say token password "$shown"
		;;
	esac
	[ "$(printf '%s\n' "$text" | grep -c '^-----BEGIN CERTIFICATE-----$')" -le "$most_blocks" ] ||
		say limit "$shown: certificates beyond its first $most_blocks"
	printf '%s\n' "$text" | certificates "pem$tab"
}

tell_all() { # tell_all MOST WHAT: those in $found, at most so many
	found=$(printf '%s\n' "$found" | grep . | sort -u)
	[ -n "$found" ] || return
	[ "$(printf '%s\n' "$found" | wc -l)" -le "$1" ] || {
		say limit "$2: files beyond the first $1 that hold keys or certificates"
		found=$(printf '%s\n' "$found" | head -n "$1")
	}
	for one in $found; do
		case $one in "$real"/*) tell "$one" "$root${one#"$real"}" ;; esac
	done
}
