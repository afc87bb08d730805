# Texts: unit files with their drop-ins, and configurations that command lines name.
# shellcheck shell=sh disable=SC2016,SC2086,SC2154 # dollars in single quotes are awk's; lists are split at newlines on purpose; set by other parts

# What may be a secret: names as in command lines, with a value, or alone where the value is on the next line.
secret_pattern='PRIVATE KEY|('$secret_names'|secret[a-z0-9_-]*)[0-9_]*"?([=:] *[^ ]|:[[:space:]]*$)|key-data|authorization"?[=:] *"?(basic|bearer|token|digest)|bearer|staticPodURLHeader|(^|[[:space:]"'\'']|=)--?[a-z0-9_-]*('$secret_names'|pat|auth)["'\'']?[[:space:]]+[^-[:space:]]|-pat=|-?-auth=[^ ]*:|(pwd|pw)=|(^|[[:space:]])-u[[:space:]]*[^- :][^ :]*:[^ ]|://[^/@ ]*:[^/@ ]*@'

# A mark within quotes, or without a blank before it, begins no comment. A quote that is never closed
# (`it's`) keeps its line's comment: more stays on the host then, and nothing of a value is lost.
print_uncommented() { # of YAML or JSON on standard input
	awk '
		/^[ \t]*#/ { next }
		!/#/ { print; next }
		{
			quote = ""; end = length($0)
			for (at = 1; at <= length($0); at++) {
				letter = substr($0, at, 1)
				if (quote != "") {
					if (quote == "\"" && letter == "\\") at++
					else if (letter == quote) quote = ""
				} else if (letter == "\"" || letter == "\047") quote = letter
				else if (letter == "#" && substr($0, at - 1, 1) ~ /[ \t]/) { end = at - 1; break }
			}
			text = substr($0, 1, end)
			if (end < length($0)) sub(/[ \t]+$/, "", text)
			print text
		}'
}

print_values() { # print_values KEY|KEY…: of YAML or JSON on standard input, without comments
	print_uncommented | grep -oE "(^|[^A-Za-z0-9_-])($1)[\"']?:[[:space:]]*[\"']?[^\"' ,}]+" |
		head -n "$most_anchors" | sed "s/^[^:]*:[[:space:]]*[\"']\{0,1\}//"
}

print_judged() { # print_judged PATH: what counts of the file on standard input: no comments, no environment
	case $nl$configs in *"$tab$1$nl"*)
		print_uncommented
		return
		;;
	esac
	awk '
		/^[ \t]*[#;]/ { next } # systemd leaves comments out of a line that goes on as well
		!inside && /^[ \t]*(Environment|SetCredential[A-Za-z]*)[ \t]*=/ { inside = 1 }
		inside { inside = /\\$/; next }
		{ print }'
}

texts=$(
	systemctl show -p FragmentPath,DropInPaths --value -- $units | tr ' ' '\n'
	printf %s "$configs" | cut -f 2
)
count=0
for path in $(printf '%s\n' "$texts" | grep '^/' | sort -u); do
	count=$((count + 1))
	[ $count -le "$most_texts" ] || {
		emit limit "more than $most_texts unit files and configurations"
		break
	}
	[ -e "$path" ] || continue
	case $path/ in */../*)
		emit unseen "$path: programs differ in what they make of .. in a path"
		continue
		;;
	esac
	owned=1 content=- digest=-
	if [ -L "$path" ]; then
		judge_folder "${path%/*}"
		[ $controlled = 1 ] && [ "$(stat -c %u -- "$path")" = 0 ] || owned=0
		real=$(readlink -f -- "$path")
	else
		real=$path
	fi
	mode=$(stat -c %a -- "$real") || continue
	if [ $owned = 0 ] || ! is_roots_file "$real"; then
		emit limit "$path: others than root may write it, so it was not read"
		emit text "$mode" 0 - - "$path"
		continue
	fi
	case $nl$configs in
	*"$tab$path$nl"*)
		for folder in $(printf %s "$configs" | env "path=$path" awk -F '\t' '$2 == ENVIRON["path"] { print $1 }'); do
			anchors=$anchors$(print_values "$anchor_keys" <"$real" | resolve_paths "$folder")$nl
		done
		;;
	esac
	if [ "$(stat -c %s -- "$real")" -gt "$most_text_size" ]; then
		emit limit "$path: it is larger than 64 KiB"
	elif print_judged "$path" <"$real" | grep -qiE "$secret_pattern"; then
		# Of configurations the deployer says so, with what they are for.
		case $nl$configs in *"$tab$path$nl"*) ;; *)
			emit limit "$path: it may hold a secret, so it stays on the host, and what it does at a start was not judged"
			;;
		esac
	elif grep -qiE "$secret_pattern" -- "$real" ||
		grep -qE '^[[:space:]]*(Environment|SetCredential[A-Za-z]*)[[:space:]]*=' -- "$real"; then
		# Lines that may hold a secret are left out, so what is sent is not the whole file.
		content=$(print_judged "$path" <"$real" | base64 -w 0)
	else
		digest=$(sha256sum <"$real" | cut -d ' ' -f 1)
		content=$(base64 -w 0 <"$real")
	fi
	[ "$real" = "$path" ] || [ "$content" = - ] || owned=0 # what stays here is edited by nobody anyway
	emit text "$mode" $owned "$digest" "$content" "$path"
done
