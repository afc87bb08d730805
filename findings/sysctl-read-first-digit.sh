#!/bin/sh
# dash 0.5.12-2 and busybox 1.35.0-4+deb12u1+b1 (Debian 12): `read` of a number in /proc/sys.
#
# One would guess: `read -r value </proc/sys/vm/max_map_count` gets the line, as bash does and as it
#   does with any file: POSIX's read takes a line.
# What happens: the first digit, and status 1, as at the end of a file without a newline (which
#   scripts expect of /proc and pass over). These shells ask for one byte at a time, since what
#   follows the line belongs to the next command; the kernel's numbers answer the read at offset 0
#   alone, and the second byte is the end of the file. Texts (kernel.ostype) and files of /sys come
#   whole, and so do settings of one digit, which hides it: a check of `ip_forward` is right, one of
#   `nf_conntrack_max` against 131072 compares with 2. Scripts that find settings by `read` are
#   right with bash as /bin/sh and wrong on Debian, Ubuntu and Alpine; cat, head and sysctl do it.
# Seen (the value is 65530):
#   bash: 65530
#   dash: 6
#   busybox: 6
#   all of them, kernel.ostype: Linux
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
for package in dash=0.5.12-2 busybox=1:1.35.0-4+deb12u1+b1; do
    (cd "$work" && apt-get download -q "$package" >/dev/null 2>&1) || {
        echo "needs apt-get with bookworm's lists (apt-get update)" >&2
        exit 2
    }
done
for file in "$work"/*.deb; do
    dpkg -x "$file" "$work/root"
done
find "$work/root" -path '*bin/*' \( -name dash -o -name busybox \) -type f >"$work/shells"
setting=/proc/sys/vm/max_map_count
whole=$(cat "$setting")
[ ${#whole} -gt 1 ]
first=$(printf %.1s "$whole")
# shellcheck disable=SC2016  # the shells that are tried expand it
script='read -r value <"$1" ; echo "$value"'
[ "$(bash -c "$script" bash "$setting")" = "$whole" ]
echo "bash: $whole"
while read -r shell; do
    case $shell in */busybox) set -- "$shell" sh ;; *) set -- "$shell" ;; esac
    seen=$("$@" -c "$script" sh "$setting")
    echo "${shell##*/}: $seen"
    [ "$seen" = "$first" ]
    [ "$("$@" -c "$script" sh /proc/sys/kernel/ostype)" = Linux ]
done <"$work/shells"
[ "$(wc -l <"$work/shells")" = 2 ]
