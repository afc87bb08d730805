# Helper programs: what could not be started, was ended or failed is never taken for an answer of nothing.
#
# Where memory, processes or open files are used up, a shell can't start what it is told to, and a pipe
# then merely ends early. So whatever goes wrong is reported on standard error, which is empty otherwise:
# the deployer reports each line there as a limit. The shell says itself what it could not start, in
# subshells as well, as long as nobody takes its standard error away. Therefore nothing but builtins is
# called with `2>/dev/null`: what may fail for an honest reason (a file that went) is called by `quiet`.
# shellcheck shell=sh disable=SC2154 # nl: shared/base

printf 'begin\t%s\n' "$nonce" >&2

# Reports a status that shows that a program did not come to its own end; returns it.
ended() { # ended STATUS PROGRAM ARGUMENT…
	case $1 in
	[0-9] | ?[0-9] | 1[01]? | 12[0-3] | 141) return "$1" ;; # 141: nobody reads on
	esac
	ended_status=$1
	shift
	for ended_word; do # a time limit's command, not the limit
		case $ended_word in timeout | env | -* | [0-9]* | *=*) ;; *) break ;; esac
	done
	case $ended_status in
	124) printf 'the time for %.40s was up\n' "$ended_word" ;;
	12?) printf '%.40s could not be started (status %s)\n' "$ended_word" "$ended_status" ;;
	*) printf '%.40s was ended (status %s)\n' "$ended_word" "$ended_status" ;;
	esac >&2
	return "$ended_status"
}

# In a subshell that becomes the program: whether that could be started is reported before its standard
# error goes anywhere else.
quiet() { # quiet PROGRAM ARGUMENT…: without what it says about files that went, or are another's
	(exec "$@" 2>/dev/null)
	ended $? "$@"
}

# Whether this host's program can do that; where it could not even be started, it can't.
can() { # can PROGRAM ARGUMENT…
	(exec "$@" </dev/null 2>/dev/null)
}

# As quiet; but its end by a time limit or a signal is for the caller to report.
judged() { # judged PROGRAM ARGUMENT…
	(exec "$@" 2>/dev/null)
	judged_status=$?
	case $judged_status in 125 | 126 | 127) ended $judged_status "$@" ;; *) return $judged_status ;; esac
}

for program in awk base64 cat cut date env find grep head readlink sed sha256sum sort stat systemctl tail timeout tr wc; do
	eval "$program() { (exec $program \"\$@\"); ended \$? $program \"\$@\"; }"
done
