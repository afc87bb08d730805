# Files of settings by which others may override what fabnode sets, as lines without comments: unit
# files and drop-ins, settings of the kernel, modules that are not to be loaded, containerd's imports,
# variables of docker's, swap, what else manages networks; of CNI's only which there are.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

configs= started=
find_configs() { # find_configs FILE…: those that are there; what is no file (/dev/null) counts as empty
	for file; do
		[ -e "$file" ] || continue
		emit config "$file"
		[ ! -f "$file" ] || configs=$configs$file$nl
	done
}

# By these root starts programs: where a link leads that others made, or may make again, they decide. One
# to nothing (/dev/null) masks.
find_started_by() { # find_started_by FILE
	find_configs "$1"
	[ ! -f "$1" ] || started=$started$1$nl
	[ ! -h "$1" ] || [ ! -s "$1" ] || is_roots_program "$1" || emit untrusted "$1"
}

# Folders and drop-ins are listed among the paths as well: whoever may change them is root.
set +f
for folder in $unit_folders; do
	case $folder in /lib/*) [ ! -h /lib ] || continue ;; esac # the same as /usr/lib
	[ -d "$folder" ] || continue
	for unit in $units; do find_started_by "$folder/$unit"; done
	for file in "$folder"/*.swap; do find_configs "$file"; done
	for name in $drop_ins; do
		[ -d "$folder/$name" ] || continue
		folders=$folders$nl$folder/$name
		for file in "$folder/$name"/*.conf; do
			find_started_by "$file"
			opaque=$opaque$nl$file
		done
	done
done
for folder in $config_folders; do
	case $folder in /lib/*) [ ! -h /lib ] || continue ;; esac
	for file in "$folder"/*.conf; do find_configs "$file"; done
done
if [ -d "$network_manager" ]; then
	find_configs $network_manager_files
	for folder in $network_manager_folders; do
		for file in "$folder"/*.conf; do find_configs "$file"; done
	done
fi
if [ -e "$networkd" ]; then
	for folder in $networkd_folders; do
		for file in "$folder"/*.network; do find_configs "$file"; done
	done
fi
for file in "$cni_conf"/*.conf "$cni_conf"/*.conflist "$cni_conf"/*.json; do
	[ ! -e "$file" ] || emit config "$file"
done
if [ -d "$containerd_imports" ]; then
	folders=$folders$nl$containerd_imports
	for file in "$containerd_imports"/*.toml; do
		find_started_by "$file"
		opaque=$opaque$nl$file
	done
fi
set -f
for file in $config_files; do find_configs "$file"; done
IFS=' '
for file in $drop_ins_read; do
	case $file in /lib/*) [ ! -h /lib ] || file=/usr$file ;; esac
	case $nl$opaque$nl in *"$nl$file$nl"*) continue ;; esac
	find_started_by "$file"
	folders=$folders$nl${file%/*}
	opaque=$opaque$nl$file
done
IFS=$nl
if read_first_line /proc/cmdline; then
	case $line in *blacklist=*) find_configs /proc/cmdline ;; esac
fi

# Of many lines about the kernel, those about the settings and modules that are asked for.
keys=' ' names=' '
for key in $sysctl_words; do keys="$keys$key "; done
for module in $modules; do names="$names$module "; done
[ -z "$configs" ] || emit_lines "$(awk -v keys="$keys" -v names="$names" '
	BEGIN { gsub(/-/, "_", names) }
	/^[ \t]*([#;]|$)/ { next }
	FILENAME ~ /sysctl/ {
		key = $0
		sub(/[ \t]*=.*/, "", key)
		sub(/^.*[.\/]/, "", key)
		if (!index(keys, " " key " ")) next
	}
	FILENAME ~ /\/fstab$/ && $3 != "swap" { next }
	FILENAME ~ /\/NetworkManager\// && !/^[ \t]*unmanaged-devices/ { next }
	FILENAME ~ /\.network$/ && !/^[ \t]*(\[|Name|Kind|Driver|Type|Unmanaged)/ { next }
	FILENAME ~ /\.swap$/ && !/^[ \t]*(What|Documentation|SourcePath)/ { next }
	FILENAME ~ /modprobe/ {
		if ($1 != "install" && $1 != "blacklist") next
		module = $2
		gsub(/-/, "_", module)
		if (!index(names, " " module " ")) next
	}
	{ print "config_line\t" substr($0, 1, 4000) "\t" FILENAME }
' $configs)"
