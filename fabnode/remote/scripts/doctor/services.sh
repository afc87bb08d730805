# Services of an ill node, beside what the probe says of them: how they ended, their journals.
#
# It follows the probe in the same stream, and changes nothing. Set before it: nonce, services,
# doctor_ports (hexadecimal), folders, confs, plugins, socket, client (with its words), asked_name,
# and the limits most_read, most_journal, most_letters, most_names, most_listeners.
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
	# A kubelet that ends again and again lists its two hundred flags each time, and since 1.37 its
	# configuration as a text of hundreds of lines: what it ends with would not be among the last
	# lines. Both are left out, and so is the text in which it lists swap. Where a text of others
	# may go on (`=<`, see doctor/service_log.py) none is: a pod could write such a beginning there
	# to hide what follows. Lines of 48 KiB and more journald splits: the rest is a line of its own.
	! has journalctl || timeout 20 journalctl --no-pager -q -o short-unix -n "$most_read" -u "$unit" 2>/dev/null |
		LC_ALL=C cut -c 1-50000 |
		unit=$unit letters=$most_letters lines=$most_journal read=$most_read LC_ALL=C awk '
			BEGIN {
				unit = ENVIRON["unit"]; letters = ENVIRON["letters"] + 0; lines = ENVIRON["lines"] + 0
				header = ": [IWEF][0-9]+ [0-9:.]+ +[0-9]+ [^ ]+:[0-9]+[]] "
				own = header "\"(Effective KubeletConfiguration|Swap is on)\" [^\"]*=<$"
			}
			NR == 1 && $3 != "systemd[1]:" { others_until = $1 + 1 } # a text may have begun before that
			in_own {
				ended = /[]]: *>$/
				in_own = $0 !~ header && $3 != "systemd[1]:" && !ended
				if (in_own || ended) next
			}
			$1 > others_until && $0 ~ own { in_own = 1; next }
			/=<$/ || length($0) >= 49152 || ($1 <= others_until && $0 !~ header) { others_until = $1 + 1 }
			length($0) <= letters && !/=<$/ && /: I[0-9]+ [0-9:.]+ +[0-9]+ flags\.go:[0-9]+\] FLAG: --/ { next }
			{
				begins[kept % lines] = length($0) > letters && (/=<$/ || length($0) >= 49152)
				line[kept++ % lines] = substr($0, 1, letters)
			}
			END {
				from = kept > lines ? kept - lines : 0
				if (from || NR >= ENVIRON["read"] + 0) print "older\t" unit
				for (number = from; number < kept; number++) {
					print (begins[number % lines] ? "cut" : "journal") "\t" unit "\t" line[number % lines]
				}
			}'
done
