# The machine's uptime and swap, and its units.
#
# The program examines a host for `inv audit`, whoever made a node of it. It runs as root under any POSIX shell (dash,
# busybox) with coreutils, grep, find, awk and systemctl; what else it uses may be missing.
#
# Its records: `tag<TAB>field…`, the last field free to hold anything but a line end; the last is `end<TAB>$nonce`.
# It changes nothing. Private keys, tokens and passwords never leave the host: of a key its public half is printed, of
# a token its kind.
#
# Set before it: nonce, state (fabnode's directory there), units (one a line), roots (where to look for keys and
# kubeconfigs, one a line), users (where systemd, cron and the like may name them), and most_…, how much of each kind
# is printed at most (limits.py; the parser holds the answer to the same).
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

up=0
read -r up </proc/uptime && say uptime "${up%% *}"
awk -v most="$most_swaps" 'NR > 1 && NR <= most + 1 { print "swap\t" $1 }' /proc/swaps 2>/dev/null

systemctl show -p Id,ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic \
	-p MainPID,FragmentPath,DropInPaths -- $units |
	names=$units awk -v most="$most_unit_length" '
		BEGIN { split(ENVIRON["names"], name, "\n"); unit = 1 }
		/^$/ { unit++; next }
		length($0) <= most { print "unit\t" name[unit] "\t" $0 }'

[ ! -d "$state/stamps" ] || for unit in $units; do
	[ ! -e "$state/stamps/$unit" ] || say managed "$unit"
done
