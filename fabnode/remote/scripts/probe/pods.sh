# Pods that another tool's kubelet may have started: their cgroups, manifests of static ones.
# shellcheck shell=sh disable=SC2154 # set before it, see probe/records, or by other parts

for root in /sys/fs/cgroup /sys/fs/cgroup/systemd; do
	[ ! -d "$root/kubepods.slice" ] || emit pod_cgroups systemd
	[ ! -d "$root/kubepods" ] || emit pod_cgroups cgroupfs
done

count=0
set +f
for file in "$static_pod_folder"/*; do
	[ -f "$file" ] && [ $count -lt "$most_static_pods" ] || continue
	count=$((count + 1))
	emit static_pod "${file##*/}"
done
set -f
