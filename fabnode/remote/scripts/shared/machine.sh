# Which machine this is, by what a kubelet tells of its own: a record `ids MACHINE BOOT HARDWARE`.
#
# As cAdvisor reads them (machine/info.go; utils/sysfs/sysfs.go GetSystemUUID): the first file that
# is there counts, whatever it holds.
# shellcheck shell=sh

first_of() { # first_of FILE…: the first line of the first that can be read
	for file; do
		if [ -f "$file" ] && [ -r "$file" ]; then
			head -n 1 -- "$file" | tr -d '\000\t'
			return
		fi
	done 2>/dev/null
	true
}
tree=/proc/device-tree
emit ids "$(first_of /etc/machine-id /var/lib/dbus/machine-id)" \
	"$(first_of /proc/sys/kernel/random/boot_id)" \
	"$(first_of /sys/class/dmi/id/product_uuid $tree/system-id $tree/vm,uuid /etc/machine-id)"
