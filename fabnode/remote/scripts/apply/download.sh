# Downloads of artifacts by the host itself.
# shellcheck shell=sh

fetch() { # fetch URL SIZE SHA256 FILE: into the file what the digest promises, or say why not
	tries=0
	until [ $tries -ge 3 ]; do
		tries=$((tries + 1))
		rm -f "$4" && (set -C && : >"$4") || return
		get "$1" 2>why | head -c $(($2 + 1)) >>"$4" # no server can fill the disk
		found=$(sha256sum <"$4")
		[ "${found%% *}" != "$3" ] || return 0
		[ -s why ] || break # it came, but is something else: so it will be
		sleep $tries
	done
	if [ -s why ]; then
		echo "$1: $(tail -n 1 why)"
	else
		echo "$1: its sha256 is ${found%% *}, promised was $3"
	fi
	return 1
}

get() { # get URL: to standard output; what is wrong to standard error
	trust=
	[ ! -e ca.ok ] || trust=ca
	if command -v curl >/dev/null; then
		curl -q -fsSL --connect-timeout 10 --speed-limit 1024 --speed-time 30 ${trust:+--cacert "$trust"} -- "$1"
	else
		wget -q -t 1 -T 30 -O - ${trust:+--ca-certificate="$trust"} "$1" || echo "wget ends with $?: see it there with wget -O /dev/null $1" >&2
	fi
}
