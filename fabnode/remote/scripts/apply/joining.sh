# The kubelet's wait for its certificate.
# shellcheck shell=sh disable=SC2154 # set by parts before it

join() { # join CERTIFICATE UNIT SECONDS KEY: wait for the kubelet to get its certificate
	show "$2"
	before=$NRestarts turns=0 told=
	# What it did meanwhile counts, too.
	case "$settling " in *" $2 "*) before=${settling##*" $2 "} before=${before#* } before=${before%% *} ;; esac
	seconds
	deadline=$((up + $3 * 100))
	until [ -s "$1" ]; do
		sleep 0.1
		[ -n "$told" ] || [ ! -s "$4" ] || key "$4"
		turns=$((turns + 1))
		[ $((turns % 10)) -eq 0 ] || continue
		show "$2"
		seconds
		if [ "$ActiveState" = failed ] || [ "$ActiveState" = inactive ] || [ $((NRestarts - before)) -ge 2 ]; then
			echo "$2 does not stay up: it is $ActiveState ($SubState), started again $((NRestarts - before)) times"
			journal "$2"
			return
		elif [ "$up" -gt "$deadline" ]; then
			echo "no certificate came to $1 within $3 s: its signing request was not approved, or not signed"
			[ -n "$told" ] || [ ! -s "$4" ] || ssh-keygen -y -P '' -f "$4" >/dev/null
			journal "$2"
			return
		fi
	done
	[ -z "$leaving" ] || rm -f "$leaving"
	rm -f "$(old "$1")" # left where a host went down while it asked
}

key() { # key FILE: tell the public half of a private key; it may not be written whole yet
	told=$(ssh-keygen -y -P '' -f "$1" 2>/dev/null) && say key "$number" "$told" >&4
}
