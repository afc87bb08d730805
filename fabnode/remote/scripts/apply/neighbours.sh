# Parts that neighbours pass on: fetched beside the actions, and checked before anything uses them.
#
# The deployer's orders come as members o1, o2, … of the payload: `fetch SHA256 SIZE SHARED ADDRESS:PORT
# MEMBER…` and `take SHA256 SIZE SHARED PIECES MEMBER…`, of a part that came as members SHA256.1 to
# SHA256.PIECES. A part becomes these members once its size and digest are right. SHARED is the folder from where this
# host serves it, or `-`.
#
# Records: `part - ready`, `part SHA256 held|shared`, `part SHA256 unreachable|broken|wrong TEXT`.
# shellcheck shell=sh disable=SC2154 # tar is set before, see apply/actions

most_wait=3   # seconds until a neighbour has to answer
most_stall=10 # seconds without at least 16 KiB in each

follow_orders() { # until the payload has ended
	order=0 followers=
	# shellcheck disable=SC2086 # a list
	trap 'kill $followers 2>/dev/null; exit' TERM
	emit part - ready
	while :; do
		order=$((order + 1))
		until [ -e "o$order.ok" ]; do
			kill -0 "$tar" 2>/dev/null || [ -e "o$order.ok" ] || return 0
			sleep 0.05
		done
		read -r order_text <"o$order"
		# shellcheck disable=SC2086 # words of the deployer's
		set -- $order_text
		case $1 in
		fetch) fetch_part "$@" & ;;
		take) take_part "$@" & ;;
		esac
		followers="$followers $!"
	done
}

take_part() { # take_part take SHA256 SIZE SHARED PIECES MEMBER…
	wait_member "$2.$5" || return
	piece=1
	mv -f "$2.1" "$2"
	while [ $piece -lt "$5" ]; do
		piece=$((piece + 1))
		cat "$2.$piece" && rm -f "$2.$piece"
	done >>"$2"
	word=$1 part=$2 expected=$3 shared=$4
	shift 5
	admit_part "$part" "$word" "$part" "$expected" "$shared" "$@"
}

fetch_part() { # fetch_part fetch SHA256 SIZE SHARED ADDRESS:PORT MEMBER…
	from=$5 came=$2.part
	# Neither holds the connection open when this run ends before them.
	{
		ask_neighbour "http://$from/$(cat token)/$2" $(($3 / 262144 + 30))
		echo $? >"$2.status"
	} 2>"$2.why" | head -c $(($3 + 1)) >"$came" 2>/dev/null # no neighbour can fill the disk
	read -r status <"$2.status" || status=1
	size=$(stat -c %s "$came")
	if [ "$size" -lt "$3" ]; then
		# curl: 7 no connection, 28 no time left; wget: 4.
		case $size:$status in 0:7 | 0:28 | 0:4) state=unreachable ;; *) state=broken ;; esac
		rm -f "$came" # first: the next order for this part comes as soon as this is told
		emit part "$2" $state "$(tail -n 1 "$2.why" | cut -c 1-200)"
		return
	fi
	word=$1 part=$2 expected=$3 shared=$4
	shift 5
	admit_part "$came" "$word" "$part" "$expected" "$shared" "$@"
}

as_nobody() { # as_nobody PROGRAM ARGUMENT…: what parses a neighbour's words has no rights, where setpriv is there
	if has setpriv; then
		setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --inh-caps=-all -- "$@"
	else
		"$@"
	fi
}

ask_neighbour() { # ask_neighbour URL SECONDS: what it answers; nobody else is asked, whatever it says
	# The token is no argument, which other users could read.
	if has curl; then
		printf 'url = "%s"\n' "$1" | as_nobody curl -q -K - -fsS --proto =http --noproxy '*' --connect-timeout $most_wait \
			--speed-limit 16384 --speed-time $most_stall --max-time "$2"
	else
		printf '%s\n' "$1" | as_nobody timeout "$2" wget -q -O - -i - -t 1 -T $most_stall --connect-timeout=$most_wait --no-proxy --max-redirect=0
	fi
}

admit_part() { # admit_part FILE WORD SHA256 SIZE SHARED MEMBER…: if it is what was promised
	came=$1 part=$3 expected=$4 shared=$5
	shift 5
	found=$(sum_sha256 <"$came")
	if [ "$(stat -c %s "$came")" -ne "$expected" ] || [ "${found%% *}" != "$part" ]; then
		rm -f "$came"
		emit part "$part" wrong "its sha256 is ${found%% *}"
		return
	fi
	state=held
	if [ "$shared" != - ] && [ -d "$shared" ]; then
		chmod 0444 "$came" && ln -T "$came" "$shared/$part" 2>/dev/null && state=shared
	fi
	for member; do ln -T "$came" "$member" || return; done
	rm -f "$came"
	for member; do : >"$member.ok"; done
	emit part "$part" $state
}
