# Answers one connection: bytes of parts, one after another, to a node of this run that knows the run's token.
#
# systemd-socket-activate starts it with the connection as standard input and output. It runs as a user of
# its own that can read nothing but parts, and what its peer says is compared, never executed or opened as
# a path.
#
# Arguments: the folder of parts, the token's sha256, `tcp` or `tcp6`, and the peers as that file of /proc/net
# shows addresses.
# shellcheck shell=sh

set -uf
LC_ALL=C
export LC_ALL
parts=$1 promised=$2 table=$3
shift 3

reply() { # reply STATUS SIZE
	printf 'HTTP/1.0 %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' "$1" "$2"
}

# The peer first: of a stranger nothing is read.
inode=$(readlink /proc/self/fd/0)
inode=${inode#"socket:["}
inode=${inode%"]"}
peer=$(awk -v inode="$inode" '$10 == inode { sub(/:.*/, "", $3); print $3; exit }' "/proc/self/net/$table")
case " $* " in
*" ${peer:-nobody} "*) ;;
*) exit 1 ;;
esac

request=$(timeout 3 head -n 1 | head -c 2000)
# shellcheck disable=SC2086 # words of a request
set -- $request
[ $# -ge 2 ] && [ "$1" = GET ] || exit 1
path=${2#/}
token=${path%%/*}
found=$(printf %s "$token" | sha256sum)
[ "${found%% *}" = "$promised" ] || {
	reply '403 Forbidden' 0
	exit 1
}
IFS=/
# shellcheck disable=SC2086 # names of parts
set -- ${path#*/}
unset IFS
[ $# -gt 0 ] || exit 1
for part; do
	case $part in *[!0-9a-f]* | '') exit 1 ;; esac
	[ ${#part} -eq 64 ] || exit 1
done
sizes=$(cd "$parts" && stat -c %s "$@" 2>/dev/null) || {
	reply '404 Not Found' 0
	exit 1
}
total=0
for size in $sizes; do total=$((total + size)); done
cd "$parts" && reply '200 OK' "$total" && exec timeout 3600 cat "$@"
