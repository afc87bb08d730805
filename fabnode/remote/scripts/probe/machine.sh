# The machine: system, kernel, memory, addresses.
# shellcheck shell=sh disable=SC2154 # set before, or by parts before it

# Read, not run: what it holds is text to us, whoever wrote it.
ID= VERSION_ID=
[ ! -f /etc/os-release ] || while read -r line || [ -n "$line" ]; do
	case $line in ID=* | VERSION_ID=*) ;; *) continue ;; esac
	value=${line#*=}
	value=${value#[\"\']} value=${value%[\"\']}
	case $line in ID=*) ID=$value ;; *) VERSION_ID=$value ;; esac
done </etc/os-release
[ -z "$ID$VERSION_ID" ] || say os "$ID" "$VERSION_ID"
first /proc/sys/kernel/hostname && say hostname "$line"
first /etc/machine-id && say machine_id "$line"
first /proc/sys/kernel/random/boot_id && say boot_id "$line"
first /proc/uptime && say uptime "${line%% *}"
first /proc/sys/kernel/osrelease
kernel=$line
say kernel "$kernel"
if first /proc/sys/kernel/arch; then say arch "$line"; else say arch "$(uname -m)"; fi # it came with 6.1
while IFS=' ' read -r name size _; do
	case $name in MemTotal: | SwapTotal:) say memory "$name" "$size" ;; SwapFree:) break ;; esac
done </proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi

if has ip; then
	for line in $(ip -o addr show); do say address "$line"; done
fi

[ ! -f /etc/resolv.conf ] || while read -r line || [ -n "$line" ]; do say resolv "$line"; done </etc/resolv.conf
[ -e /run/systemd/resolve/resolv.conf ] && say resolved
