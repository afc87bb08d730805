# Parts that neighbours pass on: fetched beside the actions, and checked before anything uses them.
#
# The deployer's orders come as members o1, o2, … of the payload: `fetch FOLDER ADDRESS:PORT OWN LOT…`, of
# parts that come by one connection, from this host's address OWN, and `take FOLDER LOT…`, of parts that came as members SHA256.1 to SHA256.PIECES.
# FOLDER is the one from where this host serves them, or `-`. A LOT is SHA256:SIZE:PIECES:MEMBER,MEMBER…: a
# part becomes these members once its size and digest are right.
#
# Records: `part - ready`, `part SHA256 held|shared`, `part SHA256 unreachable|broken|wrong TEXT`.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; tar is set before, see apply/actions

most_wait=3   # seconds until a neighbour has to answer
most_stall=10 # seconds without at least 16 KiB in each
most_time=30  # seconds for whatever it is, and one for each 256 KiB

begin_following() { # beside the actions, and without their lock
	# Held open, so that no news are lost.
	mkfifo wake && exec 7<>wake || exit
	wakes=yes
	follow_orders 9>&- &
	follower=$!
}

follow_orders() { # until the payload has ended
	order=0 followers=
	# shellcheck disable=SC2086 # a list
	trap 'kill $followers 2>/dev/null; exit' TERM
	read -r word <token
	emit part - ready
	while :; do
		order=$((order + 1))
		until [ -e "o$order.ok" ]; do
			kill -0 "$tar" 2>/dev/null || [ -e "o$order.ok" ] || {
				echo >&7
				return 0
			}
			sleep 0.1
		done
		read -r order_text <"o$order"
		# shellcheck disable=SC2086 # words of the deployer's
		set -- $order_text
		case $1 in
		fetch) fetch_parts "$@" & ;;
		take) take_parts "$@" & ;;
		esac
		followers="$followers $!"
	done
}

read_lot() { # read_lot LOT: into $part, $expected, $pieces and $members
	part=${1%%:*} rest=${1#*:}
	expected=${rest%%:*} rest=${rest#*:}
	pieces=${rest%%:*} members=${rest#*:}
}

take_parts() { # take_parts take FOLDER LOT…
	shared=$2
	shift 2
	for lot; do
		read_lot "$lot"
		wait_member "$part.$pieces" || return
		piece=1 more=
		while [ $piece -lt "$pieces" ]; do
			piece=$((piece + 1))
			more="$more $part.$piece"
		done
		mv -f "$part.1" "$part"
		# shellcheck disable=SC2086 # a list
		[ -z "$more" ] || { cat $more >>"$part" && rm -f $more; }
		admit_part "$part"
	done
}

fetch_parts() { # fetch_parts fetch FOLDER ADDRESS:PORT OWN LOT…
	shared=$2 from=$3 own=$4 came=o$order.came path='' total=0
	shift 4
	for lot; do
		read_lot "$lot"
		path=$path/$part total=$((total + expected))
	done
	# Neither holds the connection open when this run ends before them.
	{
		ask_neighbour "http://$from/$word$path" "$own" $((most_time + total / 262144))
		echo $? >"$came.status"
	} 2>"$came.why" | head -c $((total + 1)) >"$came" 2>/dev/null # no neighbour can fill the disk
	read -r status <"$came.status" || status=1
	size=$(stat -c %s "$came") begin=0
	# curl: 7 no connection, 28 no time left; wget: 4.
	case $size:$status in 0:7 | 0:28 | 0:4) state=unreachable ;; *) state=broken ;; esac
	for lot; do
		read_lot "$lot"
		begin=$((begin + expected)) one=$came
		if [ $begin -gt "$size" ]; then
			emit part "$part" $state "$(tail -n 1 "$came.why" | cut -c 1-200)"
			continue
		fi
		if [ $# -gt 1 ]; then
			one=$came.one
			tail -c +$((begin - expected + 1)) "$came" | head -c "$expected" >"$one"
		fi
		admit_part "$one"
	done
	rm -f "$came"
}

as_nobody() { # as_nobody PROGRAM ARGUMENT…: what parses a neighbour's words has no rights, where setpriv is there
	if has setpriv; then
		setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --inh-caps=-all -- "$@"
	else
		"$@"
	fi
}

ask_neighbour() { # ask_neighbour URL OWN SECONDS: what it answers; nobody else is asked, whatever it says
	# By the address that neighbours know: a host has several, of IPv6 above all, and the kernel takes any.
	# The token is no argument, which other users could read.
	if has curl; then
		printf 'url = "%s"\n' "$1" | as_nobody curl -q -g -K - -fsS --interface "host!$2" --proto =http --noproxy '*' --connect-timeout $most_wait \
			--speed-limit 16384 --speed-time $most_stall --max-time "$3"
	else
		printf '%s\n' "$1" | as_nobody timeout "$3" wget -q -O - -i - --bind-address="$2" -t 1 -T $most_stall --connect-timeout=$most_wait --no-proxy --max-redirect=0
	fi
}

admit_part() { # admit_part FILE: as $part, if it is what was promised
	found=$(sum_sha256 <"$1")
	if [ "$(stat -c %s "$1")" -ne "$expected" ] || [ "${found%% *}" != "$part" ]; then
		rm -f "$1"
		emit part "$part" wrong "its sha256 is ${found%% *}"
		return
	fi
	as=held
	if [ "$shared" != - ] && [ -d "$shared" ]; then
		chmod 0444 "$1" && ln -T "$1" "$shared/$part" 2>/dev/null && as=shared
	fi
	members=$members,
	while [ -n "$members" ]; do
		ln -T "$1" "${members%%,*}" && : >"${members%%,*}.verified" && : >"${members%%,*}.ok" || return
		members=${members#*,}
	done
	rm -f "$1"
	echo >&7
	emit part "$part" $as
}
