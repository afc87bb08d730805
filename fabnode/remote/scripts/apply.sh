# shellcheck shell=sh
# shellcheck disable=SC2154 # named below as set before it
# Makes one node what its plan says. Runs as root under any POSIX shell; unpacked with its payload
# into a private directory, from where `actions` calls the functions below in the plan's order.
#
# It talks in lines: `start N`, `done N HUNDREDTHS`, `fail N`, `log N TEXT`, `key N PUBLIC`, `beat`,
# `end`; with tabs between. What commands say goes to a file, shown when the action fails.
#
# The payload is still arriving while the first actions run: `need` waits for a member.
# Set before: state (fabnode's directory on the node), work (this run's), tar (what unpacks).

set -uf
tab=$(printf '\t')
number=- settling= leaving= beat= new= asides=

say() { # say FIELD…: one line, in one write, for the beat speaks as well
	line=$1
	shift
	for field; do line="$line$tab$field"; done
	printf '%s\n' "$line"
}

seconds() { # hundredths of a second since boot, without starting a process
	read -r up _ </proc/uptime
	up=${up%.*}${up#*.}
}

act() { # act N FUNCTION ARGUMENT…: one change of the plan
	number=$1
	shift
	say start "$number"
	seconds
	began=$up
	"$@" 4>&1 >log 2>&1 || failed
	seconds
	say "done" "$number" $((up - began))
}

failed() {
	say fail "$number"
	# First, for it explains the rest, and the rest may have found no place in the log.
	[ "$(stat -f -c %a .)" -gt 0 ] || say log "$number" "no space left in $state"
	tail -n 25 log | while IFS= read -r text || [ -n "$text" ]; do say log "$number" "$text"; done
	exit 1
}

# What must not outlive this run, however it ends: the payload, a file half written, and what
# `leaves` names.
tidy() {
	# shellcheck disable=SC2086 # it may be empty
	kill $beat "$tar" 2>/dev/null
	cd / && rm -rf "$work"
	[ -z "$leaving" ] || rm -f "$leaving"
	back
	[ -z "$new" ] || rm -f "$new"
}

leaves() { leaving=$1; }

old() { # old PATH: where it waits until what takes its place is there
	printf %s "${1%/*}/.${1##*/}.fabnode-old"
}

aside() { # aside PATH UNIT: out of the way, so that the unit makes a new one when it starts
	mv -fT "$1" "$(old "$1")" && asides="$asides $1 $2"
}

replaced() { # all went well: nobody needs the old ones
	# shellcheck disable=SC2086 # a list
	set -- $asides
	asides=
	while [ $# -gt 0 ]; do
		rm -f "$(old "$1")"
		shift 2
	done
}

back() { # it did not go well: where there is no new one, the old one is better than none
	# shellcheck disable=SC2086 # a list
	set -- $asides
	while [ $# -gt 0 ]; do
		if [ ! -e "$1" ] && mv -fT "$(old "$1")" "$1"; then
			systemctl restart --no-block -- "$2" >/dev/null 2>&1
		fi
		shift 2
	done
}

# A deployer that died no longer reads: within a second the beat fails, and ends us.
beat() {
	trap '' PIPE
	# Nothing of ours holds the output open when the rest is done.
	# The work directory goes last: a signal that came too early to be heard must not leave us here.
	while [ -d "$work" ]; do
		printf 'beat\n' 2>/dev/null || {
			kill -TERM $$ 2>/dev/null
			return
		}
		sleep 1 >/dev/null 2>&1
	done
}

trap tidy EXIT
trap 'exit 143' HUP INT PIPE TERM # PIPE: what we say next is read by nobody
beat 9>&- &
beat=$!

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

### Files

put() { # put MEMBER PATH MODE SHA256: a sibling takes the path's place at once, or nothing happens
	need "$1" && beside "$2" || return
	(set -C && unpack "$1" >"$new") && holds "$new" "$4" "$2" && take "$2" "$3" "$4" || {
		rm -f "$new"
		return 1
	}
	rm -f "$1"
}

holds() { # holds FILE SHA256 NAME: what was promised, or say that NAME is something else
	found=$(sha256sum <"$1") && [ "${found%% *}" = "$2" ] || {
		echo "$3: the sha256 of what came is ${found%% *}, promised was $2"
		return 1
	}
}

beside() { # beside PATH: names the sibling, $new, which is not there
	(umask 022 && mkdir -p "${1%/*}") || return
	new=${1%/*}/.${1##*/}.fabnode
	rm -f "$new"
}

take() { # take PATH MODE SHA256: the sibling, which holds that content, takes the path's place
	own "$new" "$2" && mv -fT "$new" "$1" || return
	new=
	# So that the next look needs not hash it; the fields are the probe's.
	[ ! -d "$state" ] || stat -c "$3|%s|%i|%y|%z|%n" -- "$1" >>"$state/digests"
}

own() { # own PATH MODE: root's, with that mode; what a symlink leads to is left alone
	[ ! -h "$1" ] || {
		echo "$1 is a symlink"
		return 1
	}
	chmod "$2" "$1" && chown -h 0:0 "$1"
}

pull() { # pull URL SIZE PATH MODE SHA256: the same, but the host fetches it
	beside "$3" || return
	fetch "$1" "$2" "$5" "$new" && take "$3" "$4" "$5" || {
		rm -f "$new"
		return 1
	}
}

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

file() { # file MEMBER PATH MODE SHA256
	put "$@"
}

mode() { # mode PATH MODE
	# A file that has another name elsewhere keeps its mode there: ours becomes a copy.
	if [ -f "$1" ] && [ "$(stat -c %h -- "$1")" -gt 1 ]; then
		new=${1%/*}/.${1##*/}.fabnode
		rm -f "$new" && (set -C && cat -- "$1" >"$new") && own "$new" "$2" && mv -fT "$new" "$1" || return
		new=
	fi
	own "$1" "$2"
}

directory() { # directory PATH MODE
	(umask 022 && mkdir -p "$1") && mode "$1" "$2"
}

remove() { # remove PATH
	rm -f "$1"
}

edit() { # edit MEMBER PATH MODE SHA256 BEFORE: only what was read is replaced
	echo "$5  $2" | sha256sum -c >/dev/null 2>&1 || {
		echo "$2 is not what it was a moment ago"
		return 1
	}
	file "$1" "$2" "$3" "$4"
}

quarantine() { # quarantine PATH: it keeps its path below; nothing is deleted
	[ -f "$1" ] && [ ! -L "$1" ] || {
		echo "$1 is no regular file any more"
		return 1
	}
	place=$state/quarantine$1 copy=0
	(umask 077 && mkdir -p "${place%/*}") || return
	while [ -e "$place" ] || [ -L "$place" ]; do
		copy=$((copy + 1))
		place=$state/quarantine$1.$copy
	done
	(
		folder=${1%/*}
		cd -P -- "$folder/" && [ "$(pwd -P)" = "${folder:-/}" ] || {
			echo "there is a symlink on the way to $1"
			exit 1
		}
		# By now nobody can put another folder in the place of one on the way.
		mv -T -- "./${1##*/}" "$place"
	) || return
	# What it is can be relied on only here, where root alone gets at it.
	[ -f "$place" ] && [ ! -L "$place" ] || {
		echo "what was moved from $1 to $place is no regular file"
		return 1
	}
	own "$place" 600 || return
	echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $1 was put here by inv harden; once nothing misses it: shred -u $place" \
		>>"$state/quarantine/NOTE"
}

### The packet filter

once() { # once MEMBER TABLE: delete the later copies of the rules in MEMBER, from the end
	need "$1" || return
	turns=0
	while :; do
		rules=$(iptables -w 10 -t "$2" -S) || return
		# The last rule that is a later copy: its chain, its number there.
		last=$(printf '%s\n' "$rules" | awk '
			NR == FNR { wanted[$0]; next }
			/^-A / { number[$2]++ }
			$0 in wanted { if ($0 in seen) last = $2 " " number[$2] " " $0; seen[$0] }
			END { print last }' "$1" -)
		[ -n "$last" ] || return 0
		[ $((turns += 1)) -le 1000 ] || return
		chain=${last%% *} last=${last#* }
		at=${last%% *} last=${last#* }
		# Somebody else may have changed the chain since: it is deleted only if it is still there.
		[ "$(iptables -w 10 -t "$2" -S "$chain" "$at")" = "$last" ] || continue
		iptables -w 10 -t "$2" -D "$chain" "$at" || return
	done
}

### The kernel

sysctl() { # sysctl FILE VALUE
	printf %s "$2" >"$1"
}

### Units

unstamp() { # unstamp UNIT…: from here on their last start is no longer one with all in place
	for unit in "$@"; do rm -f "$state/stamps/$unit"; done
}

show() { # show UNIT: ActiveState, SubState, NRestarts and such as shell variables
	ActiveState= SubState= NRestarts=0 ActiveEnterTimestampMonotonic=0
	eval "$(systemctl show -p ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic -- "$1" |
		sed -n "s/^\([A-Za-z]*\)=\([-a-z0-9]*\)$/\1='\2'/p")"
}

journal() { # journal UNIT: its last words
	echo "the journal of $1 ends with:"
	journalctl --no-pager -q -o cat -n 20 -u "$1" | cut -c 1-400
	return 1
}

unit() { # unit UNIT STAMP reload|-: start it anew, and at every boot
	need "$2" || return
	systemctl enable -q --no-reload -- "$1" || return
	[ "$3" != reload ] || systemctl daemon-reload || return
	restart "$1" "$2"
}

restart() { # restart UNIT [STAMP]: neither enabled nor, without one, stamped
	systemctl reset-failed -- "$1" 2>/dev/null
	# It is always `restart`: a unit between two attempts to start counts as started for `start`.
	systemctl restart -- "$1" || {
		journal "$1"
		return
	}
	show "$1"
	settling="$settling $1 ${2:--} $NRestarts"
	case $ActiveState in
	active | activating | reloading) ;;
	*)
		echo "$1 is $ActiveState ($SubState)"
		journal "$1"
		;;
	esac
}

enable() { # enable UNIT: without the reload systemd would go on calling it disabled
	systemctl enable -q --no-reload -- "$1" && systemctl daemon-reload
}

settle() { # every unit that was started is up, and stays up for a second; then it is stamped
	mkdir -p "$state/stamps"
	IFS=' '
	# shellcheck disable=SC2086 # a list
	set -- $settling
	while [ $# -gt 0 ]; do
		steady "$1" "$3" || return
		[ "$2" = - ] || mv -f "$2" "$state/stamps/$1" || return
		shift 3
	done
}

steady() { # steady UNIT RESTARTS
	tries=0
	while :; do
		show "$1"
		seconds
		if [ "$ActiveState" = active ]; then
			[ $((up - ActiveEnterTimestampMonotonic / 10000)) -lt 100 ] || return 0
		elif [ "$ActiveState" = failed ] || [ "$ActiveState" = inactive ] || [ $((NRestarts - $2)) -ge 2 ] || [ "$tries" -ge 300 ]; then
			echo "$1 does not stay up: it is $ActiveState ($SubState), started again $((NRestarts - $2)) times"
			journal "$1"
			return
		fi
		tries=$((tries + 1))
		sleep 0.1
	done
}

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

### Hooks

due() { # due MARKER…: from here on each is due, until it has succeeded in this run or a later one
	mkdir -p "$state/hooks" || exit
	for marker; do : >"$state/hooks/$marker" || exit; done
}

hook() { # hook MARKER SECONDS NAME=VALUE… COMMAND ARGUMENT…: a site's own command
	marker=$1 limit=$2
	shift 2
	# What it leaves running holds neither the lock nor the connection.
	(umask 022 && cd / && exec timeout -k 5 "$limit" env "$@") >hook.log 2>&1 4>&- 9>&-
	code=$?
	[ $code -ne 0 ] || {
		rm -f "$state/hooks/$marker"
		return
	}
	case $code in
	124 | 137) why="it did not end within $limit s" ;;
	*) why="it ended with status $code" ;;
	esac
	echo "$why: $(tail -n 1 hook.log | cut -c 1-400)"
	tail -n 20 hook.log | cut -c 1-400
	return 1
}

### Images

importing() { # the options of `ctr images import`
	# Measured: half of the work was unpacking what no pod on this node may ever use (the runtime
	# does it when a container needs it), and much of the rest containerd's transfer service, which
	# `ctr` of containerd 2 and late 1.7 can do without.
	echo "--no-unpack"
	if ctr images import --help | grep -q -e --local; then echo "--local"; fi
}

load() { # load STORE: an archive from standard input
	# shellcheck disable=SC2046 # options
	case $1 in
	docker) docker load -q ;;
	*) ctr -n k8s.io images import $(importing) - ;;
	esac
}

stored() { # stored STORE REFERENCE
	case $1 in
	docker) docker image inspect -f '{{.Id}}' "$2" ;; # which knows docker.io/… by its short name
	*) ctr -n k8s.io images ls -q | grep -qxF "$2" ;;
	esac
}

image() { # image STORE MEMBER SHA256 REFERENCE…
	need "$2" || return
	store=$1 member=$2
	shift 2
	# Unpacked twice: no store gets what nobody has verified, and no disk gets it a second time.
	found=$(unpack "$member" | sha256sum)
	[ "${found%% *}" = "$1" ] || {
		shift
		echo "the sha256 of the archive of $* is ${found%% *}, which is not what was promised"
		return 1
	}
	unpack "$member" | import "$store" "$@" && rm -f "$member"
}

pull_image() { # pull_image STORE URL SIZE SHA256 REFERENCE…: the same, but the host fetches the archive
	fetch "$2" "$3" "$4" archive || return
	store=$1
	shift 3
	import "$store" "$@" <archive && rm -f archive
}

import() { # import STORE SHA256 REFERENCE…: from standard input
	store=$1 archive=$2
	shift 2
	load "$store" || return
	for reference in "$@"; do
		stored "$store" "$reference" || {
			echo "the archive does not bring $reference"
			return 1
		}
		grep -sv " $reference\$" "$state/images" >"$state/images.new"
		echo "$archive $reference" >>"$state/images.new" && mv -f "$state/images.new" "$state/images" || return
	done
}
