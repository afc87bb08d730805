# Files of settings by which others may override what fabnode sets, as lines without comments.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at line ends on purpose; set by other parts

configs=
find_configs() { # find_configs FILE…: those that are there; what is no file (/dev/null) counts as empty
	for file; do
		[ -e "$file" ] || continue
		emit config "$file"
		[ ! -f "$file" ] || configs=$configs$file$nl
	done
}

# Folders and drop-ins are listed among the paths as well, for whoever may change them is root.
set +f
for folder in $unit_folders; do
	case $folder in /lib/*) [ ! -h /lib ] || continue ;; esac # the same as /usr/lib
	[ -d "$folder" ] || continue
	for unit in $units; do find_configs "$folder/$unit"; done
	for name in $drop_ins; do
		[ -d "$folder/$name" ] || continue
		folders=$folders$nl$folder/$name
		for file in "$folder/$name"/*.conf; do
			find_configs "$file"
			opaque=$opaque$nl$file
		done
	done
done
set -f

[ -z "$configs" ] || emit_lines "$(awk '
	!/^[ \t]*([#;]|$)/ { print "config_line\t" substr($0, 1, 4000) "\t" FILENAME }
' $configs)"
