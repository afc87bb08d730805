# Anchors: what decides whom programs obey, such as CAs and the apiserver's address.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

print_certificates() { # print_certificates PREFIX: those on standard input and nothing else of it, with a prefix to each line
	awk -v prefix="$1" -v most="$most_blocks" -v lines_most="$most_block_lines" -v longest="$most_block_length" '
		/^-----BEGIN/ { inside = 0 }
		/^-----BEGIN CERTIFICATE-----$/ { blocks++; lines = 0; inside = blocks <= most }
		inside && ++lines <= lines_most && length($0) <= longest && /^[-A-Za-z0-9+\/= ]+$/ { print prefix $0 }
		/^-----END/ { inside = 0 }'
}

is_kubeconfig() { # what is on standard input
	awk '/^"?clusters"?:|"clusters":/ { clusters = 1 } /"?users"?:/ { users = 1 } END { exit !(clusters && users) }'
}

named=
emit_anchor() { # emit_anchor PATH: who could have written it; its certificates if that is root alone
	[ -e "$1" ] || return 0
	judge_folder "$1"
	[ $controlled = 1 ] && [ -f "$1" ] || {
		emit anchor $controlled 0 - "$1"
		# Folders of plugins, manifests and settings, all of them the kubelet's.
		[ $controlled = 0 ] || [ ! -d "$1" ] || judge_tree swayed kubelet.service "$1" 3
		return 0
	}
	text=$(timeout 5 head -c "$most_text_size" -- "$1" | tr -d '\0')
	[ "$(stat -L -c %s -- "$1")" -le "$most_text_size" ] || emit limit "$1: what is in it after its first 64 KiB"
	pem=$text kind=
	if printf '%s\n' "$text" | is_kubeconfig; then
		kind=kubeconfig
		pem=$(for data in $(printf '%s\n' "$text" | print_values certificate-authority-data); do
			printf %s "$data" | quiet base64 -d
			echo
		done)
	fi
	emit anchor 1 "$(printf '%s\n' "$pem" | grep -c -e '-----BEGIN')" \
		"$(printf '%s\n' "$pem" | print_certificates '' | base64 -w 0)" "$1"
	[ "$kind" = kubeconfig ] || return 0
	for key in certificate-authority client-certificate client-key tokenFile command; do
		for value in $(printf '%s\n' "$text" | print_values $key); do
			case $value in
			/*) ;;
			*/*) value=${1%/*}/$value ;;
			*) [ $key != command ] && value=${1%/*}/$value || continue ;;
			esac
			[ ${#value} -le "$most_arg_length" ] || continue
			emit anchor_names $key "$value"
			named=$named$value$nl
		done
	done
	! printf '%s\n' "$text" | print_values insecure-skip-tls-verify | grep -qixE 'true|yes|on|y' || emit anchor_names insecure-skip-tls-verify true
	! printf '%s\n' "$text" | print_values server | grep -qi '^http:' || emit anchor_names server http
}

count=0 seen=$nl
for round in settings kubeconfigs; do
	[ $round = settings ] || anchors=$named
	for path in $(printf '%s\n' "$anchors" | grep '^/' | sort -u); do
		[ ${#path} -le "$most_arg_length" ] || continue
		case $seen in *"$nl$path$nl"*) continue ;; esac
		seen=$seen$path$nl count=$((count + 1))
		[ $count -le "$most_anchors" ] || {
			emit limit "more than $most_anchors files that settings name"
			break
		}
		emit_anchor "$path"
	done
done
