# Search below folders, and opening of files where others may write.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

# Where others may write, they may exchange anything between a check and an opening. So there a file
# is opened within a folder that was entered first, never through a symlink at its name, and never
# waiting; a command that can't do that is not used there.
can_nofollow=0
! quiet timeout 5 dd if=/dev/null iflag=nofollow,nonblock,fullblock count=0 || can_nofollow=1
quiet grep -D skip -q x /dev/null
[ $? -ne 1 ] && grep_skip= || grep_skip='-D
skip'
# How a search gets the rights of a folder's owner. It stays root's by its real user: whom all its
# users are, may trace it and take its pipes, and one of them is where the rest of this program is read from.
print_owners_rights() { # print_owners_rights UID GID: a command's beginning, one word a line
	printf '%s\n' setpriv --ruid=0 "--euid=$1" "--regid=$2" --clear-groups
}
can_setpriv=0
nobodys_rights=$(print_owners_rights 65534 65534)
! has setpriv || ! can timeout 5 $nobodys_rights true || can_setpriv=1

read_file() ( # read_file PATH FOLDER: the file's first 64 KiB; FOLDER is where its folder really is
	cd -P -- "$2/" 2>/dev/null && [ "$(pwd -P)" = "$2" ] || exit 1
	name=./${1##*/}
	[ -f "$name" ] && [ ! -L "$name" ] || exit 1
	if [ $can_nofollow = 1 ]; then
		quiet timeout 5 dd "if=$name" iflag=nofollow,nonblock,fullblock bs=65536 count=1
	elif [ "$trusted" = 1 ]; then
		quiet timeout 5 head -c 65536 -- "$name"
	else
		exit 1
	fi | tr -d '\0'
)

credential_pattern='^-----BEGIN ([A-Z]+ )*(PRIVATE KEY|CERTIFICATE)-----|client-key-data|client-certificate-data|"?kind"?: *"?Config"?'
token_list_pattern='^[^,#]+,[^,]+,'

# Without what is never searched and names that records can't hold. $find_prefix limits its time and
# rights. Its last line is /dev/null, which is searched after the folder: so it came to its end.
find_below() { # find_below FOLDER/ ARGUMENT…
	top=$1
	shift
	(exec $find_prefix find "$top" /dev/null -xdev -maxdepth 6 -path /dev/null -print -o \
		\( -path '*/kubelet/pods' -o -path '*/kubelet/plugins' -o -name .ssh -o -name .cache \
		-o -name node_modules -o -name .git -o -path "$state" \
		-o -path "*$nl*" -o -path "*$tab*" -o -path '*\\*' \) -prune -o "$@" </dev/null)
}

# Names that records can't hold, or that the parser would take for another's: the first of them.
find_unprintable_name() { # find_unprintable_name FOLDER/
	(exec $find_prefix find "$1" /dev/null -xdev -maxdepth 6 -path /dev/null -print -o \
		\( -name .git -o -name .cache -o -name node_modules -o -path '*/kubelet/pods' -o -path '*/kubelet/plugins' \) -prune -o \
		\( -name "*$nl*" -o -name "*$tab*" -o -name '*\\*' \) -print -quit </dev/null)
}

denied= # of what a search says: root is refused by file systems of users alone, which are unseen then

# What a search finds goes to $found. Without WHAT only that says how it went. Whatever it could not do is reported: what it says on standard
# error, but for files that went meanwhile or that its rights don't open; its end by a signal, which a
# folder's owner may send, too; and an end before it came to /dev/null.
search() { # search WHAT FUNCTION ARGUMENT…
	searched=$1
	shift
	found=$(
		{
			{
				"$@" 2>&1 >&7 7>&-
				printf 'ended %s\n' $?
			} | (
				exec awk -v denied="$denied" '
					/^ended [0-9]+$/ { done = 1; status = $2; next }
					$0 ~ "^(find|grep): .?[.]?/.*: (No such file or directory|Not a directory|Too many levels of symbolic links" denied ")$" { next }
					++count <= 5 { print substr($0, 1, 200) }
					END { exit done ? status : 125 }'
			) >&2 7>&-
		} 7>&1
	)
	status=$?
	[ -n "$searched" ] || return 0
	case $status:$nl$found$nl in
	124:* | 137:*) emit limit "$searched: the time for it was up" ;;
	129:* | 13?:* | 14?:*) emit limit "$searched: its search was ended by a signal" ;;
	[01]:*"$nl/dev/null$nl"*) ;;
	*) emit limit "$searched: its search did not come to its end" ;;
	esac
}

holds_credentials() { # holds_credentials NAME: what is on standard input, of a file of that name
	case $1 in
	*token*.csv | basic*auth*.csv) grep -qE "$credential_pattern|$token_list_pattern" ;;
	*) grep -qE "$credential_pattern" ;;
	esac
}
