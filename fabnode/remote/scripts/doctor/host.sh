# What keeps services of a node from working: ports of others, folders, processes, the runtime.
# shellcheck shell=sh disable=SC2046,SC2086,SC2154 # lists are split at newlines on purpose; set before it

if has ss; then
	ss -Hltnp 2>/dev/null | cut -c 1-400 | ports=$doctor_ports awk -v most="$most_listeners" '
		BEGIN { count = split(ENVIRON["ports"], each, "\n"); for (at = 1; at <= count; at++) want[each[at]] }
		{ port = $4; sub(/.*:/, "", port) }
		port in want && ++shown <= most {
			program = ""
			if (match($0, /users:\(\("[^"]*"/)) program = substr($0, RSTART + 9, RLENGTH - 10)
			print "listens\t" port "\t" program
		}'
fi

print_names() { # print_names TAG FOLDER: names of the files in it
	[ ! -d "$2" ] || for name in $(timeout 10 ls -A "$2" 2>/dev/null | head -n "$most_names"); do
		emit "$1" "$name"
	done
}
print_names conf "$confs"
print_names plugin "$plugins"

for folder in $folders; do
	if [ ! -d "$folder" ]; then emit missing "$folder"; elif [ ! -w "$folder" ]; then emit unwritable "$folder"; fi
done

emit memory "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)"
[ ! -r /proc/sys/kernel/pid_max ] || emit tasks "$(cut -d ' ' -f 4 /proc/loadavg | cut -d / -f 2)" "$(cat /proc/sys/kernel/pid_max)"

[ -S "$socket" ] || emit no_socket
# The words of the client are separate arguments.
if is_roots_program "${client%%"$nl"*}"; then
	timeout 5 $client >/dev/null 2>&1
	case $? in 0) emit runtime answers ;; 124 | 137) emit runtime hangs ;; *) emit runtime refuses ;; esac
fi

if [ -n "$asked_name" ] && has getent; then
	if timeout 5 getent hosts "$asked_name" >/dev/null; then emit resolves yes; else emit resolves no; fi
fi
emit end "$nonce"
