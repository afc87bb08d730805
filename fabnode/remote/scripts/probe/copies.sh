# Copies of programs that are missing or differ: files elsewhere of the same name, size and digest.
#
# Only files that nobody but root can change count, so that nobody has a run fail by changing one between
# this and the copy. They are read, never run; one that has another size is not even read.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

lacking= places= hashed= count=0 bytes=0 judged_folder=
for line in $programs; do # PATH|SIZE:SHA256, and more of these for other architectures
	path=${line%%|*} digest=-
	case $digests in *"  $path$nl"*)
		digest=${digests%%"  $path$nl"*}
		digest=${digest##*"$nl"}
		;;
	esac
	case "$line|" in *":$digest|"*) ;; *) lacking="$lacking$line|$nl" ;; esac
done

if [ -n "$lacking" ]; then
	for folder in $copy_folders; do
		[ -d "$folder" ] || continue
		for line in $lacking; do
			path=${line%%|*}
			place=$folder/${path##*/}
			[ "$place" = "$path" ] || places=$places$place$nl
		done
	done
	# What an upgrade kept of before: numbered files, and a list of what each was.
	if [ -n "$own_state" ] && [ -f "$state/kept/tag" ] && [ -f "$state/kept/list" ]; then
		while IFS=' ' read -r number path; do
			case $number in '' | *[!0-9]*) continue ;; esac
			case $lacking in *"/${path##*/}|"*) places=$places$state/kept/$number$nl ;; esac
		done <"$state/kept/list"
	fi
fi

[ -z "$places" ] || for line in $(quiet timeout 10 stat -c '%f|%u|%s|%n' -- $places); do
	bits=${line%%|*} rest=${line#*|}
	owner=${rest%%|*} rest=${rest#*|}
	size=${rest%%|*} place=${rest#*|}
	case $bits/$owner in 8???/0) ;; *) continue ;; esac # a regular file of root's
	[ $((0x$bits & 022)) -eq 0 ] || continue
	case $lacking in *"|$size:"*) ;; *) continue ;; esac
	if [ "$judged_folder" != "${place%/*}" ]; then
		judged_folder=${place%/*}
		judge_folder "$judged_folder"
	fi
	[ "$controlled" = 1 ] || continue
	count=$((count + 1)) bytes=$((bytes + size))
	[ $count -le "$most_copies" ] && [ $bytes -le "$most_copied_bytes" ] || break
	hashed=$hashed$place$nl
done

[ -z "$hashed" ] || for line in $(quiet timeout 60 sha256sum -- $hashed); do
	digest=${line%%  *}
	case $lacking in *":$digest|"*) emit copy "$digest" "${line#*  }" ;; esac
done
