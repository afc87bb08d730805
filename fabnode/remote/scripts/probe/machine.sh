# The machine: system, kernel, memory, cgroups.
# shellcheck shell=sh disable=SC2154 # set before it, see probe/records, or by other parts

# Read, not run: what it holds is mere text, whoever wrote it.
ID= VERSION_ID=
[ ! -f /etc/os-release ] || while read -r line || [ -n "$line" ]; do
	case $line in ID=* | VERSION_ID=*) ;; *) continue ;; esac
	value=${line#*=}
	value=${value#[\"\']} value=${value%[\"\']}
	case $line in ID=*) ID=$value ;; *) VERSION_ID=$value ;; esac
done </etc/os-release
[ -z "$ID$VERSION_ID" ] || emit os "$ID" "$VERSION_ID"
[ -d "$booted" ] || emit not_booted
[ -e /dev/kmsg ] || emit no_kmsg
read_first_line /proc/sys/kernel/hostname && emit hostname "$line"
read_first_line /etc/machine-id && emit machine_id "$line"
read_first_line /proc/sys/kernel/random/boot_id && emit boot_id "$line"
read_first_line /proc/uptime && emit uptime "${line%% *}"
read_first_line /proc/sys/kernel/osrelease
kernel=$line
emit kernel "$kernel"
if read_first_line /proc/sys/kernel/arch; then emit arch "$line"; else emit arch "$(uname -m)"; fi # it came with 6.1
while IFS=' ' read -r name size _; do
	case $name in MemTotal: | SwapTotal:) emit memory "$name" "$size" ;; SwapFree:) break ;; esac
done </proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	emit cgroup 2
	read_first_line /sys/fs/cgroup/cgroup.controllers
	emit controllers "$line"
else
	emit cgroup 1
	[ ! -r /proc/cgroups ] || while IFS=$tab read -r name _ _ enabled; do
		[ "$enabled" != 1 ] || emit controllers "$name"
	done </proc/cgroups
fi
