# The wait for the kubelet's certificate.
# shellcheck shell=sh disable=SC2154 # set by other parts

wait_certificate() { # wait_certificate CERTIFICATE UNIT SECONDS KEY KUBECONFIG: both files are the kubelet's
	read_unit "$2"
	restarts=$NRestarts turns=0 public_key=
	# Restarts since this run started it count as well.
	case "$started_units " in *" $2 "*) restarts=${started_units##*" $2 "} restarts=${restarts#* } restarts=${restarts%% *} ;; esac
	read_uptime
	deadline=$((uptime + $3 * 100))
	until [ -s "$1" ]; do
		sleep 0.1
		[ -n "$public_key" ] || [ ! -s "$4" ] || emit_key "$4"
		turns=$((turns + 1))
		[ $((turns % 10)) -eq 0 ] || continue
		read_unit "$2"
		read_uptime
		if has_failed "$restarts"; then
			report_unsteady "$2" "$restarts"
			return
		elif [ "$uptime" -gt "$deadline" ]; then
			error=$(read_connection_error "$2")
			if [ -n "$error" ]; then
				echo "no certificate came to $1 within $3 s: it can't speak to the apiserver"
			else
				echo "no certificate came to $1 within $3 s: its signing request was not approved, or not signed"
			fi
			[ -n "$public_key" ] || [ ! -s "$4" ] || ssh-keygen -y -P '' -f "$4" >/dev/null
			print_journal "$2"
			[ -z "$error" ] || echo "$error"
			return 1
		fi
	done
	# Before the bootstrap kubeconfig goes: a kubelet that finds none of them whole can't start again.
	note_written "$1" "$5" && sync_written || return
	[ -z "$temporary" ] || rm -f "$temporary"
	rm -f "$(replaced_path "$1")" # left there if the host went down during an earlier renewal
}

read_connection_error() { # read_connection_error UNIT: the last of the last minute
	journalctl --no-pager -q -o cat --since -60s -u "$1" |
		grep -E 'dial tcp|proxyconnect|connection refused|i/o timeout|x509: |tls: |no such host|no route to host' |
		grep -vi 'pull' | # of images, from a registry
		tail -n 1 | cut -c 1-400
}

emit_key() { # emit_key FILE: the public half of a private key, which may not be written whole yet
	public_key=$(ssh-keygen -y -P '' -f "$1" 2>/dev/null) && emit key "$number" "$public_key" >&4
}
