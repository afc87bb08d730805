# Files with keys, certificates, kubeconfigs or tokens: what is printed of each.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

root_files= # files that are root's alone

# What is printed of folders that others may write, in bytes: of one folder, of all; until when.
spent=0 spent_all=0 deadline=

within_limits() { # within_limits BYTES: of the file at hand; root's folders are not counted
	[ "$trusted" = 0 ] || return 0
	spent=$((spent + $1)) spent_all=$((spent_all + $1))
	[ $spent -le "$most_others_bytes" ] && [ $spent_all -le "$most_all_others_bytes" ] && [ "$(date +%s)" -lt "$deadline" ]
}

emit_late() {
	emit limit "$shown: whose a key in it is, for the time to derive its public half was up"
	emit late "$shown"
}

emit_file() { # emit_file PATH SHOWN: SHOWN is the path below the root as it was given
	path=$1 shown=$2 folder=${1%/*}
	case $shown/ in
	*/kubelet/pods/* | */kubelet/plugins/* | */.ssh/* | */.cache/* | */node_modules/* | */.git/* | "$state"/*) return ;;
	esac
	[ "$folder" = "$judged" ] || judge_folder "$folder"
	judged=$folder trusted=$controlled
	entry=$(quiet stat -c '%a %u' -- "$path") || {
		emit limit "$shown: it went while it was examined"
		return
	}
	text=$(read_file "$path" "$folder")
	printf '%s\n' "$text" | holds_credentials "${path##*/}" || {
		emit limit "$shown: it is not what it was a moment ago, or this host has no safe way to open it"
		return
	}
	within_limits $((${#text} + 24 * ${#shown})) || {
		emit limit "$shown: more than is read of folders that others may write, or the time for them was up"
		return
	}
	kind=pem
	case ${path##*/} in
	*token*.csv | basic*auth*.csv) ! printf '%s\n' "$text" | grep -qE "$token_list_pattern" || kind=csv ;;
	esac
	! printf '%s\n' "$text" | is_kubeconfig || kind=kubeconfig
	mode=${entry%% *} uid=${entry#* }
	emit file "$mode" "$uid" "$reachable" "$controlled" "$kind" "$shown"
	[ "$uid" != 0 ] || [ $controlled = 0 ] || [ $((0$mode & 022)) -ne 0 ] || root_files=$root_files$shown$nl
	emit blocks "$(printf '%s\n' "$text" | grep -c -e '-----BEGIN')" "$shown"
	keys=$(printf '%s\n' "$text" | grep -cE '^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----')
	[ "$keys" -le "$most_keys" ] || {
		keys=$most_keys
		emit limit "$shown: keys beyond its first $most_keys"
	}
	number=0
	while [ $number -lt "$keys" ]; do
		number=$((number + 1))
		within_limits 0 || {
			emit limit "$shown: keys in it; the time for folders that others may write was up"
			break
		}
		public=$(printf '%s\n' "$text" | awk -v want=$number '
			/^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/ { count++; on = count == want }
			on { print }
			/^-----END/ { on = 0 }' | print_public_key) || emit_late
		emit key "$public" "$shown"
	done
	case $kind in
	csv) emit token csv "$shown" ;;
	kubeconfig)
		# By words, not lines: it may be JSON.
		for data in $(printf '%s\n' "$text" | grep -oE "client-certificate-data\"?: *[\"']?[A-Za-z0-9+/=]+" | head -n "$most_keys" | sed "s/.*[: \"']//"); do
			# Encoded again: it may not be base64 that others read.
			data=$(printf %s "$data" | quiet base64 -d | base64 -w 0)
			[ -z "$data" ] || emit certificate_data "$data" "$shown"
		done
		for data in $(printf '%s\n' "$text" | grep -oE "client-key-data\"?: *[\"']?[A-Za-z0-9+/=]+" | head -n "$most_keys" | sed "s/.*[: \"']//"); do
			public=$(printf %s "$data" | quiet base64 -d | print_public_key) || emit_late
			emit key "$public" "$shown"
		done
		printf '%s\n' "$text" | grep -oE '(^|[ {,"])token"?: *"?[^ ",}]+' | head -n "$most_keys" | sed 's/.*[: "]//' |
			while read -r token; do
				case $token in
				eyJ*.*.*) emit token jwt "$shown" ;;
				??????.????????????????) emit token bootstrap "$shown" ;;
				*) emit token static "$shown" ;;
				esac
			done
		! printf '%s\n' "$text" | grep -qE '(^|[ {,"])password"?: *"?[^ ",}]' || emit token password "$shown"
		;;
	esac
	[ "$(printf '%s\n' "$text" | grep -c '^-----BEGIN CERTIFICATE-----$')" -le "$most_blocks" ] ||
		emit limit "$shown: certificates beyond its first $most_blocks"
	printf '%s\n' "$text" | print_certificates "pem$tab"
}

emit_files() { # emit_files MOST WHAT: of the list $found
	# Without a search's last line.
	found=$(printf '%s\n' "$found" | grep . | grep -vx /dev/null | sort -u)
	[ -n "$found" ] || return
	[ "$(printf '%s\n' "$found" | wc -l)" -le "$1" ] || {
		emit limit "$2: files beyond the first $1 that hold keys or certificates"
		found=$(printf '%s\n' "$found" | head -n "$1")
	}
	for file in $found; do
		case $file in "$real"/*) emit_file "$file" "$root${file#"$real"}" ;; esac
	done
}
