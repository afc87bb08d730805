# Members of the payload, which is still arriving while the first actions run.
# shellcheck shell=sh disable=SC2154 # set by parts before it

need() { # need MEMBER: wait until it has arrived whole
	until [ -e "$1.ok" ]; do
		kill -0 "$tar" 2>/dev/null || [ -e "$1.ok" ] || {
			echo "the payload ended too early"
			return 1
		}
		sleep 0.05
	done
}

unpack() { # unpack MEMBER: to standard output; both formats hold a checksum of what they hold
	case $1 in
	*.zst) zstd -dcq "$1" ;;
	*.gz) gzip -dc "$1" ;;
	*) cat "$1" ;;
	esac
}
