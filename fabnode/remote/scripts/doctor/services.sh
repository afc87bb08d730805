# Services of an ill node, beside what the probe says of them: how they ended, their journals.
#
# It follows the probe in the same stream, and changes nothing. Set before it: nonce, services,
# doctor_ports (hexadecimal), folders, confs, plugins, socket, client (with its words), asked_name,
# and the limits most_journal, most_letters, most_names, most_listeners.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set before it

clock=$(date +%s.%N)
emit now "${clock%.%N}" # busybox knows no nanoseconds

for unit in $services; do
	pid=
	for line in $(timeout 10 systemctl show -p Result,ExecMainStatus,MainPID -- "$unit"); do
		case $line in
		Result=* | ExecMainStatus=*) emit service "$unit" "$line" ;;
		MainPID=*) pid=${line#*=} ;;
		esac
	done
	[ "${pid:-0}" = 0 ] || [ ! -r "/proc/$pid/stat" ] || {
		line=$(head -c 400 "/proc/$pid/stat" | tr '\n' ' ')
		line=${line##*) } # what is before it, a program chose
		emit service "$unit" "Process=${line%% *}"
	}
	! has journalctl || timeout 20 journalctl --no-pager -q -o short-unix -n "$most_journal" -u "$unit" 2>/dev/null |
		LC_ALL=C cut -c "1-$((most_letters + 1))" | unit=$unit most=$most_letters LC_ALL=C awk '{
			most = ENVIRON["most"]
			kind = length($0) > most ? "cut" : "journal"
			print kind "\t" ENVIRON["unit"] "\t" substr($0, 1, most)
		}'
done
