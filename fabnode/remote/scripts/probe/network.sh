# Networks of the host: addresses, routes, how names are resolved, proxies of services.
# shellcheck shell=sh disable=SC2046,SC2154 # output is split at newlines on purpose; set by other parts

if has ip; then
	for line in $(ip -o addr show); do emit address "$line"; done
fi
# Those of pods go through an interface each.
routes=$(cat /proc/net/route 2>/dev/null) # by cat, for the shell reads byte by byte
for line in $routes; do
	case $line in Iface* | cali*) ;; *) emit route "$line" ;; esac
done

if read_first_line /proc/sys/net/ipv6/conf/all/disable_ipv6; then
	emit ipv6 "$line"
	# Default routes: destination and its length are 0.
	defaults=$(awk '$1 ~ /^0+$/ && $2 == "00" { print $9, $10 }' /proc/net/ipv6_route 2>/dev/null)
	for found in $defaults; do
		flags=${found%% *} interface=${found#* }
		read_first_line "/proc/sys/net/ipv6/conf/$interface/accept_ra" || line=0
		emit ipv6_default "$interface" "$flags" "$line"
	done
else
	emit ipv6 absent
fi

set +f
for folder in /sys/class/net/*; do
	case $folder in */cali* | */veth*) continue ;; esac
	read_first_line "$folder/mtu" && emit mtu "${folder##*/}" "$line"
done
set -f

if [ -f /etc/resolv.conf ]; then
	while read -r line || [ -n "$line" ]; do emit resolv "$line"; done </etc/resolv.conf
elif [ -h /etc/resolv.conf ]; then
	emit no_resolv "$(readlink /etc/resolv.conf)"
else
	emit no_resolv ""
fi
if [ -f /run/systemd/resolve/resolv.conf ]; then
	emit resolved
	while read -r line || [ -n "$line" ]; do emit upstream "$line"; done </run/systemd/resolve/resolv.conf
fi

for line in $(timeout 5 systemctl show-environment 2>/dev/null); do
	case $line in *_[Pp][Rr][Oo][Xx][Yy]=*) emit proxy "${line%%=*}" "${line#*=}" ;; esac
done
