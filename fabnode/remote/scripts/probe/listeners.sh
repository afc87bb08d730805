# Listeners on the ports that a node needs.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

# They are listed only if one of the ports is used (0A is LISTEN in proc_net_tcp.rst). Finding the
# programs' names takes a walk over all processes: only where fabnode has not started anything yet,
# so that others may use a port.
set -- $ports
IFS='|'
alternatives="$*"
IFS=$nl
if [ -n "$alternatives" ] && has ss && grep -qsE ":($alternatives) [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6; then
	option=-p
	[ ! -d "$state/stamps" ] || option=
	for line in $(ss -Hltn $option); do emit listener "$line"; done
fi
