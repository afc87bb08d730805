# Members of the payload, which is still arriving while the first actions run.
# shellcheck shell=sh disable=SC2154 # tar is set before, see apply/actions

wait_member() { # wait_member MEMBER: until it has arrived whole
	until [ -e "$1.ok" ]; do
		kill -0 "$tar" 2>/dev/null || [ -e "$1.ok" ] || {
			echo "the payload ended too early"
			return 1
		}
		await_more "$1"
	done
}

wakes= # yes: parts are announced, see apply/neighbours

await_more() { # await_more MEMBER: a while, or until there is news of parts
	case $wakes$1 in
	# By a child: while a builtin waits, some shells bury no dead one, and tar's end goes unseen.
	yes*.zst | yes*.gz) timeout 1 head -c 1 <&7 >/dev/null || : ;;
	*) sleep 0.05 ;;
	esac
}

unpack_member() { # unpack_member MEMBER [PREFIX]: to standard output; both formats hold a checksum
	case $1 in
	*.zst) ${2:-} zstd -dcq "$1" ;;
	*.gz) ${2:-} gzip -dc "$1" ;;
	*) cat "$1" ;;
	esac
}
