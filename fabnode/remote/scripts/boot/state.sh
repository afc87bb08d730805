# Which boot and kernel run, which kernel is next, and why a reboot is due: lines of a key and a value.
# shellcheck shell=sh

export LC_ALL=C
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
now=$(date +%s)
echo "now $now"
echo "booted $((now - $(cut -d . -f 1 /proc/uptime)))"
[ ! -f /etc/machine-id ] || echo "machine $(cat /etc/machine-id)"
echo "running $(uname -r)"

# The default kernel is grubby's word, else where the distribution's link leads, else the newest.
kernel=$(grubby --default-kernel 2>/dev/null)
for link in /vmlinuz /boot/vmlinuz /boot/Image; do
	[ -n "$kernel" ] || [ ! -e "$link" ] || kernel=$(readlink -f "$link")
done
newest() {
	for file in /boot/vmlinuz-* /boot/Image-*; do
		case $file in *rescue* | *'*') ;; *) echo "$file" ;; esac
	done | sort -V | tail -n 1
}
[ -n "$kernel" ] || kernel=$(newest)
kernel=${kernel##*/} kernel=${kernel#vmlinu[xz]-}
echo "installed ${kernel#Image-}"

# The marks of Debian and Ubuntu, and of SUSE; then the programs of RHEL's family, and of SUSE.
if [ -e /run/reboot-required ]; then
	packages=$(sort -u /run/reboot-required.pkgs 2>/dev/null | head -n 10 | tr '\n' ' ')
	echo "due /run/reboot-required: ${packages:-no package named}"
fi
[ ! -e /run/reboot-needed ] || echo 'due /run/reboot-needed'
if command -v needs-restarting >/dev/null 2>&1; then
	timeout 60 needs-restarting -r >/dev/null 2>&1
	[ $? != 1 ] || echo 'due needs-restarting -r says so'
elif command -v zypper >/dev/null 2>&1; then
	timeout 60 zypper --non-interactive needs-rebooting >/dev/null 2>&1
	[ $? != 102 ] || echo 'due zypper needs-rebooting says so'
fi
true # whether anything is due is no failure
