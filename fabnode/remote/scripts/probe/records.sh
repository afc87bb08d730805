# Records of the probe, printed together at its end, but for the first: the host's clock.
#
# The program observes a node. It runs as root under any POSIX shell (dash, busybox) with coreutils,
# awk and systemctl; what else it uses may be missing. What the shell can read by itself is read so:
# of a hundred hosts on one machine, each process more costs a tenth of a second.
#
# Its records are `tag<TAB>field…`, the last field free to hold anything but a newline; the last
# record is `end<TAB>$nonce`. It changes nothing on the node but its own record of digests.
#
# Set before it, as quoted text: nonce, most_text_size, most_static_pods, most_arg_length, most_executables and most_others (limits.py), static_pod_folder, deep (1: trust no recorded
# digest), state (fabnode's directory on the node), store (whose images: containerd, docker), ctr (its path),
# containerd_socket, containerd_imports, cni_conf, booted (there where systemd is the init), mountinfo (the init's); and # lists with one entry a line: text, opaque, folders, certificates, servers, units, unit_folders,
# drop_ins (names of folders), config_folders, config_files,
# network_manager_files, network_manager_folders, networkd_folders, sysctls, sysctl_words (last words of keys in files), modules, free, writable, mounts, tools, needed, needed_here, obeyed (RECORD<TAB>BY<TAB>PATH, see probe/owners), local_folders, system_folders, ports (hexadecimal).
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables

records=
emit() { # emit TAG FIELD…: a record more
	records=$records$1
	shift
	for field; do records=$records$tab$field; done
	records=$records$nl
}

emit_lines() { # emit_lines LINES: whole records
	[ -z "$1" ] || records=$records$1$nl
}

# Only regular files are read, here and below: reading a FIFO would not end.
read_first_line() { # read_first_line FILE: into $line
	line=
	[ -f "$1" ] && [ -r "$1" ] && { read -r line <"$1" || [ -n "$line" ]; }
}

# Before all else, so that the deployer can compare clocks.
clock=$(date +%s.%N)
printf 'clock\t%s\n' "${clock%.%N}" # busybox knows no nanoseconds
