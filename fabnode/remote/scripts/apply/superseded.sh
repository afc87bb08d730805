# Superseded credentials of another tool: in the quarantine, from where they return if no others came.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables

superseded= returned=
# This part comes before apply/replaced: what is replaced comes back, and would be taken for new.
at_exit="$at_exit restore_superseded" reports="$reports report_returned"

supersede_file() { # supersede_file PATH BY PROOF UNIT KUBECONFIG|-; BY is a command
	quarantine_file "$1" "$2" || return
	superseded="$superseded $1 $place $3 $4 $5 $was"
}

await_proof() { # await_proof PROOF UNIT: what was approved a moment ago is signed and written by then
	tries=0
	until [ -s "$1" ] || [ $tries -ge 20 ] || ! systemctl -q is-active -- "$2"; do
		tries=$((tries + 1))
		sleep 0.5
	done
}

restore_superseded() { # at the end: a kubelet without a certificate loses its pods, one with its old one does not
	IFS=' '
	# shellcheck disable=SC2086 # a list
	set -- $superseded
	superseded=
	[ $# -eq 0 ] || ! was_started "$4" || await_proof "$3" "$4"
	while [ $# -gt 0 ]; do
		if [ ! -s "$3" ]; then
			# As it was: what others could write must not pass for root's because it was away.
			chown -- "$6" "$2" && chmod -- "$7" "$2"
			[ "$5" = - ] || [ "$5" = "$1" ] || cp -p -- "$2" "$5"
			mv -fT -- "$2" "$1" && returned=1
			systemctl restart --no-block -- "$4" >/dev/null 2>&1
		fi
		shift 7
	done
}

report_returned() { [ -z "$returned" ] || emit returned; }
