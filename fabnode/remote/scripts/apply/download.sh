# Downloads of artifacts by the host itself, believed for their digest alone.
# shellcheck shell=sh disable=SC2154 # sibling: see apply/lifetime

download() { # download URL SIZE SHA256 FILE: into the file; prints why the digest can't be had
	tries=0
	until [ $tries -ge 3 ]; do
		tries=$((tries + 1))
		rm -f "$4" && (set -C && : >"$4") || return
		request_url "$1" 2>why | head -c $(($2 + 1)) >>"$4" # no server can fill the disk
		found=$(sum_sha256 <"$4")
		[ "${found%% *}" != "$3" ] || return 0
		[ -s why ] || break # the answer is whole, but another file: so it would be again
		sleep $tries
	done
	if [ -s why ]; then
		echo "$1: $(tail -n 1 why)"
	else
		echo "$1: its sha256 is ${found%% *}, promised was $3"
	fi
	return 1
}

request_url() { # request_url URL: to standard output; errors to standard error
	ca=
	[ ! -e ca.ok ] || ca=ca
	if has curl; then
		curl -q -fsSL --connect-timeout 10 --speed-limit 1024 --speed-time 30 ${ca:+--cacert "$ca"} -- "$1"
	else
		wget -q -t 1 -T 30 -O - ${ca:+--ca-certificate="$ca"} "$1" || echo "wget ends with $?: see it there with wget -O /dev/null $1" >&2
	fi
}

download_file() { # download_file URL SIZE PATH MODE SHA256: the whole file at once, or nothing happens
	prepare_sibling "$3" || return
	download "$1" "$2" "$5" "$sibling" && move_sibling "$3" "$4" "$5" || {
		rm -f "$sibling"
		return 1
	}
}

download_image() { # download_image STORE URL SIZE SHA256 REFERENCE…
	download "$2" "$3" "$4" archive || return
	store=$1
	shift 3
	prepare_import "$store" || return
	load_archive "$store" <archive && rm -f archive && record_images "$store" "$@"
}
