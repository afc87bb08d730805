# Kernel features, which count when they are loaded, built in or seen working; kernel settings.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

is_built_in() { # is_built_in MODULE
	case $1 in
	overlay)
		while read -r line; do case $line in *overlay) return ;; esac done </proc/filesystems
		false
		;;
	br_netfilter) [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] ;;
	nf_conntrack) [ -e /proc/sys/net/netfilter/nf_conntrack_max ] ;;
	ip_vs) [ -e /proc/net/ip_vs ] ;;
	*) false ;;
	esac && return
	builtin=/lib/modules/$kernel/modules.builtin
	[ -r "$builtin" ] && grep -q "/$(printf %s "$1" | sed 's/[-_]/[-_]/g')\.ko" "$builtin" && return
	option=$1 # or another, where it is not simply its name
	case $1 in
	overlay) option=overlay_fs ;;
	br_netfilter) option=bridge_netfilter ;;
	ipip) option=net_ipip ;;
	esac
	if [ -r /proc/config.gz ]; then
		gzip -dc /proc/config.gz
	else
		cat "/boot/config-$kernel"
	fi | grep -qi "^CONFIG_$option=y"
} 2>/dev/null

read_first_line /proc/sys/kernel/modules_disabled && [ "$line" = 1 ] && emit modules_disabled

for module in $modules; do
	if [ -d "/sys/module/$module" ] || is_built_in "$module"; then
		emit module "$module"
		[ -f "/sys/module/$module/initstate" ] || emit builtin "$module"
	elif ! has modprobe; then
		emit lacks modprobe
	elif ! modprobe -q -D "$module" >/dev/null 2>&1; then # what it would load
		emit missing "$module"
	fi
done

# What kube-proxy sets as it starts. /proc/sys gives the right to write to nobody in a container.
for file in /sys/module/nf_conntrack/parameters/hashsize /proc/sys/net/netfilter/nf_conntrack_max; do
	if [ ! -e "$file" ]; then
		emit conntrack missing "$file"
	elif [ ! -w "$file" ]; then
		emit conntrack readonly "$file"
	fi
done

for key in $sysctls; do
	# Dots and slashes trade places, as sysctl(8) has it.
	IFS=.
	set -- $key
	IFS=/
	sysctl_file="/proc/sys/$*"
	IFS=$nl
	# Not by `read`: dash reads byte by byte, and of a number the kernel gives no second one.
	if [ ! -e "$sysctl_file" ]; then
		emit no_sysctl "$key"
	elif line=$(head -n 1 "$sysctl_file" 2>/dev/null); then
		emit sysctl "$key" "$line"
	fi
done
