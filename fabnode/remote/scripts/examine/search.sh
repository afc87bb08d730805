# Search of folders, and opening of files there, where others may write.
# shellcheck shell=sh disable=SC2034,SC2154,SC2086 # parts share variables; lists are split at line ends on purpose

# Where others may write, they may exchange anything between a look and an opening. So there a file
# is opened within a folder that was entered first, never through a symlink at its name, and never
# waiting; a command that can't do that is not used there.
nofollow=0
! timeout 5 dd if=/dev/null iflag=nofollow,nonblock,fullblock count=0 2>/dev/null || nofollow=1
! grep -D skip -q x /dev/null 2>/dev/null
[ $? -ne 1 ] && skip= || skip='-D
skip'
can_drop=0
! timeout 5 setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null || can_drop=1

take() ( # take PATH FOLDER: the file's first 64 KiB; FOLDER is where its folder really is
	cd -P -- "$2/" 2>/dev/null && [ "$(pwd -P)" = "$2" ] || exit 1
	name=./${1##*/}
	[ -f "$name" ] && [ ! -L "$name" ] || exit 1
	if [ $nofollow = 1 ]; then
		timeout 5 dd "if=$name" iflag=nofollow,nonblock,fullblock bs=65536 count=1 2>/dev/null
	elif [ "$trusted" = 1 ]; then
		timeout 5 head -c 65536 -- "$name"
	else
		exit 1
	fi | tr -d '\0'
)

holding='^-----BEGIN ([A-Z]+ )*(PRIVATE KEY|CERTIFICATE)-----|client-key-data|client-certificate-data|"?kind"?: *"?Config"?'
token_list='^[^,#]+,[^,]+,'

# Runs find below a folder, past what is never searched and names that lines can't tell.
seek() { # seek FOLDER/ ARGUMENT…; the command that runs it is in $with
	seek_at=$1
	shift
	$with find "$seek_at" -xdev -maxdepth 6 \
		\( -path '*/kubelet/pods' -o -path '*/kubelet/plugins' -o -name .ssh -o -name .cache \
		-o -name node_modules -o -name .git -o -path "$state" \
		-o -path "*$nl*" -o -path "*$tab*" -o -path '*\\*' \) -prune -o "$@" 2>/dev/null
}

# Whether a folder has names that lines can't tell, or that read as another name's bytes.
untold() { # untold FOLDER/; in $with the command that runs find
	[ -n "$($with find "$1" -xdev -maxdepth 6 \( -name .git -o -name .cache -o -name node_modules \
		-o -path '*/kubelet/pods' -o -path '*/kubelet/plugins' \) -prune -o \
		\( -name "*$nl*" -o -name "*$tab*" -o -name '*\\*' \) -print 2>/dev/null | head -c 1)" ]
}

in_time() { # in_time STATUS WHAT: whether a search ended by itself; if not, that is said
	case $1 in 124 | 137) say limit "$2: the time for it was up" ;; esac
}

holds_something() { # from stdin, NAME
	case $1 in
	*token*.csv | basic*auth*.csv) grep -qE "$holding|$token_list" ;;
	*) grep -qE "$holding" ;;
	esac
}
