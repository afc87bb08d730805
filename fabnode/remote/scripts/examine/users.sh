# Users of root's files: units, cron, CNI, static pods, command lines of root's processes, links.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

if [ -n "$root_files" ]; then
	existing= known=1
	for path in $users; do [ ! -e "$path" ] || existing=$existing$path$nl; done
	if [ -n "$existing" ]; then
		names=$(printf %s "$root_files" | judged timeout 20 grep $grep_skip -rsoF -f - -- $existing)
		[ $? -le 1 ] || known=0
		names=$(printf '%s\n' "$names" | sort -u)
		[ "$(printf '%s\n' "$names" | wc -l)" -le "$most_users" ] || known=0
		printf '%s\n' "$names" | head -n "$most_users" | while IFS=: read -r user path; do
			[ -n "$path" ] && [ "$(quiet stat -c %u -- "$user")" = 0 ] || continue
			emit used "$user" "$path"
		done
	fi
	# Root's own, in the host's namespace. Anybody may have any number of processes: their names must
	# be no command's arguments, and that all were looked at is shown by the last line.
	set +f
	# shellcheck disable=SC2016 # they are awk's
	processes=$(printf '%s\n' /proc/[0-9]* | judged timeout 20 awk '
		{
			file = $0 "/status"
			own = host = 0
			while ((getline line <file) > 0) {
				if (line ~ /^Uid:\t0\t0\t0\t/) own = 1
				else if (line ~ /^NSpid:\t[0-9]+$/) host = 1
			}
			close(file)
			if (own && host) print $0 "/cmdline"
		}
		END { print "all" }')
	set -f
	case $processes in
	*"/cmdline${nl}all") processes=${processes%"$nl"all} ;;
	*) known=0 processes= ;;
	esac
	words=$(quiet cat $processes /dev/null | tr '\0' '\n')
	[ -n "$words" ] || known=0 # the first process has a command line
	running=$(printf %s "$root_files" | {
		exec 3<&0 # as an argument they may be too long
		printf '%s\n' "$words" | judged timeout 20 grep -oF -f /dev/fd/3
	})
	[ $? -le 1 ] || known=0
	running=$(printf '%s\n' "$running" | grep . | sort -u)
	[ "$(printf '%s\n' "$running" | wc -l)" -le "$most_running" ] || known=0
	printf '%s\n' "$running" | grep . | head -n "$most_running" | while read -r path; do emit used "a running program" "$path"; done
	# What settings name may be a link, and a kubelet goes by links to the newest of its certificates.
	links=$(printf %s "$root_files" | sed -n 's,^\(.*/kubelet-[a-z]*-\)[0-9][-0-9]*\.pem$,\1current.pem,p' | sort -u | head -n "$most_anchors")
	for path in $seen $links; do
		real=$(quiet timeout 5 readlink -f -- "$path") && [ "$real" != "$path" ] || continue
		case $nl$root_files in *"$nl$real$nl"*) ;; *) continue ;; esac
		judge_folder "$path"
		[ $controlled = 0 ] || emit used "$path" "$real"
	done
	[ $known = 1 ] || emit users_unknown
fi
