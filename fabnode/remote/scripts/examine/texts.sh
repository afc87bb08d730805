# Texts: unit files with their drop-ins, and configurations that command lines name.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

hides='PRIVATE KEY|(token|pass|passwd|password|passphrase|secret[a-z0-9_-]*|api[-_]?key|access[-_]?key)[0-9_]*"?[=:] *[^ ]|key-data|authorization"?[=:] *"?(basic|bearer|token|digest)|bearer|staticPodURLHeader|(^|[[:space:]"'\'']|=)--?[a-z0-9_-]*(token|password|passwd|secret|credentials?|creds|pat|auth)[[:space:]]+[^-[:space:]]|-(creds|pat)=|-?-auth=[^ ]*:|(pwd|pw)=|(^|[[:space:]])-u[[:space:]]*[^- :][^ :]*:[^ ]|://[^/@ ]*:[^/@ ]*@'
# The values of keys in YAML or JSON; those on lines of their own comments are none.
values() { # values KEY|KEY…: from lines
	sed '/^[[:space:]]*#/d' | grep -oE "(^|[^A-Za-z0-9_-])($1)[\"']?:[[:space:]]*[\"']?[^\"' ,}]+" |
		head -n "$most_anchors" | sed "s/^[^:]*:[[:space:]]*[\"']\{0,1\}//"
}

texts=$(
	systemctl show -p FragmentPath,DropInPaths --value -- $units | tr ' ' '\n'
	printf %s "$configs" | cut -f 2
)
count=0
for path in $(printf '%s\n' "$texts" | grep '^/' | sort -u); do
	count=$((count + 1))
	[ $count -le "$most_texts" ] || {
		say limit "more than $most_texts unit files and configurations"
		break
	}
	[ -e "$path" ] || continue
	case $path/ in */../*)
		say unseen "$path: programs differ in what they make of .. in a path"
		continue
		;;
	esac
	owned=1 content=- digest=-
	if [ -L "$path" ]; then
		above "${path%/*}"
		[ $controlled = 1 ] && [ "$(stat -c %u -- "$path")" = 0 ] || owned=0
		real=$(readlink -f -- "$path")
	else
		real=$path
	fi
	mode=$(stat -c %a -- "$real") || continue
	if [ $owned = 0 ] || ! roots_own "$real"; then
		say limit "$path: others than root may write it, so it was not read"
		say text "$mode" 0 - - "$path"
		continue
	fi
	case $nl$configs in
	*"$tab$path$nl"*)
		for folder in $(printf %s "$configs" | path=$path awk -F '\t' '$2 == ENVIRON["path"] { print $1 }'); do
			anchors=$anchors$(values "$anchor_keys" <"$real" | resolved "$folder")$nl
		done
		;;
	esac
	if [ "$(stat -c %s -- "$real")" -gt "$most_text_size" ]; then
		say limit "$path: it is larger than 64 KiB"
	elif grep -qiE "$hides" -- "$real"; then
		:
	elif grep -qE '^[[:space:]]*(Environment|SetCredential[A-Za-z]*)[[:space:]]*=' -- "$real"; then
		# Lines of which any may be a secret stay; the others are sent, but are not the file.
		content=$(awk '
			!inside && /^[ \t]*(Environment|SetCredential[A-Za-z]*)[ \t]*=/ { inside = 1 }
			inside { inside = /\\$/; next }
			{ print }' "$real" | base64 -w 0)
	else
		digest=$(sha256sum <"$real" | cut -d ' ' -f 1)
		content=$(base64 -w 0 <"$real")
	fi
	[ "$real" = "$path" ] || owned=0
	say text "$mode" $owned "$digest" "$content" "$path"
done
