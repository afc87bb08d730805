# Listeners on the ports that fabnode needs.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

# Who listens where, if on one of the ports at all (0A is LISTEN in proc_net_tcp.rst). Finding the
# names takes a walk over all processes: only where fabnode has not started anything yet, so that a
# port may be taken by somebody else.
set -- $ports
IFS='|'
some="$*"
IFS=$nl
if [ -n "$some" ] && has ss && grep -qsE ":($some) [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6; then
	names=-p
	[ ! -d "$state/stamps" ] || names=
	for line in $(ss -Hltn $names); do say listener "$line"; done
fi

for tool in $tools; do has "$tool" && say tool "$tool"; done
