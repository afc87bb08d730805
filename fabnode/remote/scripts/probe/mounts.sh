# What is mounted where: options and propagation, as systemd's services see them.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

# A line of proc_pid_mountinfo(5) has the place in field 5, options in 6, then optional fields up to
# `-`. Of several at one place the last counts.
[ -z "$mounts" ] || emit_lines "$(printf '%s\n' $mounts | awk '
	NR == FNR { asked[++count] = $0; next }
	{
		place = $5 == "/" ? "/" : $5 "/"
		spread = "private"
		for (i = 7; i <= NF && $i != "-"; i++) if ($i ~ /^shared:/) spread = "shared"
		for (i = 1; i <= count; i++)
			if (index(asked[i] "/", place) == 1 && length(place) >= longest[i]) {
				longest[i] = length(place)
				found[i] = $6 "\t" spread
			}
	}
	END { for (i = 1; i <= count; i++) if (i in found) print "mount\t" found[i] "\t" asked[i] }
' - "$mountinfo")"
