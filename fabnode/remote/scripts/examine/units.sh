# The machine's uptime and swap; its units.
#
# The program examines a host for `inv audit`, whoever made a node of it. It runs as root under any
# POSIX shell (dash, busybox) with coreutils, grep, find, awk and systemctl; what else it uses may be
# missing.
#
# Its records are `tag<TAB>field…`, the last field free to hold anything but a newline; the last
# record is `end<TAB>$nonce`. It changes nothing. Private keys, tokens and passwords never leave the
# host: it prints the public half of a key, and the kind of a token.
#
# Set before it: nonce, state (fabnode's directory there), units (one a line), roots (folders that are
# searched for keys and kubeconfigs, one a line), users (where systemd, cron and the like may name
# these files), and most_…, how much of each kind is printed (limits.py; the parser enforces the same).
# shellcheck shell=sh disable=SC2016,SC2086,SC2154 # dollars in single quotes are awk's; lists are split at newlines on purpose; set by other parts

up=0
read -r up </proc/uptime && emit uptime "${up%% *}"
[ ! -e /proc/swaps ] || awk -v most="$most_swaps" 'NR > 1 && NR <= most + 1 { print "swap\t" $1 }' /proc/swaps

systemctl show -p Id,ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic \
	-p MainPID,FragmentPath,DropInPaths -- $units |
	env "names=$units" awk -v most="$most_unit_length" '
		BEGIN { split(ENVIRON["names"], name, "\n"); unit = 1 }
		/^$/ { unit++; next }
		length($0) <= most { print "unit\t" name[unit] "\t" $0 }'

[ ! -d "$state/stamps" ] || for unit in $units; do
	[ ! -e "$state/stamps/$unit" ] || emit managed "$unit"
done
