# Records of the probe, printed together at its end, and its first: the host's clock.
#
# The program probes a node. It runs as root under any POSIX shell (dash, busybox) with coreutils, awk and systemctl;
# what else it uses may be missing. What the shell can read itself is read so: of a hundred hosts on one machine, each
# program more costs a tenth of a second.
#
# Its records: `tag<TAB>field…`, the last field free to hold anything but a line end; the last is `end<TAB>$nonce`.
# It changes nothing on the node but its own record of digests.
#
# Set before it, as quoted text: nonce, most_text_size (limits.py), deep (1: trust no recorded digest), state
# (fabnode's directory on the node), store (whose images: containerd, docker); and lists with one entry a line:
#   text, opaque, folders, certificates, servers, units, sysctls, modules, free, tools, ports (hexadecimal)
# shellcheck shell=sh disable=SC2154 # set before, or by parts before it

out=
say() { # say TAG FIELD…: one line more; all but the first are printed at once, at the end
	out=$out$1
	shift
	for field; do out=$out$tab$field; done
	out=$out$nl
}

add() { # add LINES: as they are
	[ -z "$1" ] || out=$out$1$nl
}

# Only regular files are read, here and below: reading a FIFO would not end.
first() { # first FILE: its first line into $line
	line=
	[ -f "$1" ] && [ -r "$1" ] && { read -r line <"$1" || [ -n "$line" ]; }
}

# First of all, so that the deployer can compare clocks.
clock=$(date +%s.%N)
printf 'clock\t%s\n' "${clock%.%N}" # busybox knows no nanoseconds
