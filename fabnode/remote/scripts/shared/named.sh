# Whose the paths are that settings name: programs, files, folders with all that is in them.
#
# Before it, or after: emit_others RECORD UNIT PATH, which tells of one that is not root's alone, and
# undecided RECORD UNIT PATH WHY; most_executables, of a unit, and most_arg_length. RECORD: `unguarded`,
# a program that root runs, or `swayed`, what decides what it runs. Nothing is run, or read.
#
# As lists with an entry a line: local_folders, which come first in the PATH of systemd's units, and
# system_folders.
# shellcheck shell=sh disable=SC2016,SC2034,SC2086,SC2154 # dollars in single quotes are awk's; parts share variables; lists are split at line ends on purpose

# Paths on standard input, one a line, as programs open them: relative ones in a folder. Without `.`
# and `//`, as the deployer writes them too; what is relative to a folder that is not known is dropped.
resolve_paths() { # resolve_paths FOLDER
	env "folder=$1" awk '
		!length { next }
		!/^\// { if (ENVIRON["folder"] == "") next; $0 = ENVIRON["folder"] "/" $0 }
		{ while (gsub(/\/\.?\//, "/")); sub(/\/\.?$/, ""); print length ? $0 : "/" }'
}

sound=$nl # what was judged already, and is root's alone
# A path that is not there yet is others' where they may put something there.
judge_named() { # judge_named RECORD UNIT PATH
	controlled=1
	[ ${#3} -le "$most_arg_length" ] || return 0
	case $3/ in
	[!/]*) return 0 ;;
	*//* | */./*)
		judge_named "$1" "$2" "$(printf '%s\n' "$3" | resolve_paths /)"
		return 0
		;;
	*"$tab"* | *"$nl"*) return 0 ;;
	*/../*)
		undecided "$1" "$2" "$3" "programs differ in what they make of .. in a path"
		return 0
		;;
	esac
	judged_place=$3
	until [ -z "$judged_place" ] || [ -e "$judged_place" ]; do judged_place=${judged_place%/*}; done
	case $sound in *"$nl${judged_place:-/}$nl"*) return ;; esac
	judge_folder "${judged_place:-/}"
	if [ $controlled = 1 ]; then sound=$sound${judged_place:-/}$nl; else emit_others "$1" "$2" "$3"; fi
}

judge_tree() { # judge_tree RECORD UNIT FOLDER DEPTH: a folder, and what is in it
	judge_named "$1" "$2" "$3"
	[ $controlled = 1 ] && [ -d "$3" ] || return 0
	entries=$(quiet timeout 10 find -L "$3/" -maxdepth "$4" ! -name "*[$nl$tab]*" \( -type f -o -type d \) \
		\( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune) || undecided "$1" "$2" "$3" "whose its files are"
	for entry in $(printf '%s\n' "$entries" | head -n $((most_executables + 1))); do emit_others "$1" "$2" "$entry"; done
	# Files that links lead to are judged by now, the folders that these are in are not.
	entries=$(quiet timeout 10 find "$3/" -maxdepth "$4" ! -name "*[$nl$tab]*" -type l -print -exec readlink -- {} \; | awk '
		NR % 2 { folder = $0; sub(/\/[^\/]*$/, "", folder); next }
		{
			target = /^\// ? $0 : folder "/" $0
			while (sub(/\/[^\/]+\/\.\.\//, "/", target));
			print target
			sub(/\/[^\/]*$/, "", target)
			if (!(target in seen)) print target "/"
			seen[target]
		}')
	for entry in $entries; do
		case $entry in
		*/) judge_named "$1" "$2" "${entry%/}" ;;
		*) [ ! -h "$entry" ] || judge_named "$1" "$2" "$entry" ;; # a link that leads to the next
		esac
	done
}

judge_pattern() { # judge_pattern RECORD UNIT PATTERN: the folder of the files, and each that is there
	judge_named "$1" "$2" "${3%/*}"
	[ $controlled = 1 ] && [ -d "${3%/*}" ] || return 0
	set +f
	for file in $3; do
		set -f
		judge_named "$1" "$2" "$file"
	done
	set -f
}

# What is found in the place of the system's programs, and what kubelets, kube-proxies, runtimes and
# plugins of networks call and a system may lack.
is_called() { # is_called NAME
	case $1 in
	blkid | conntrack | containerd-shim* | crun | ebtables* | ethtool | fsck* | ip | ip6tables* | ipset | iptables* | ipvsadm) return ;;
	kata-* | mkfs* | modprobe | mount* | nft | nsenter | nvidia-* | runc | runsc | socat | tc | umount* | xtables* | youki) return ;;
	esac
	for system_folder in $system_folders; do
		[ ! -e "$system_folder/$1" ] || return 0
	done
	return 1
}

judge_local() { # judge_local BY: programs that are root's before the system's are (systemd.exec(5))
	for local_folder in $local_folders; do
		[ -d "$local_folder" ] || continue
		judge_named unguarded "$1" "$local_folder"
		[ $controlled = 1 ] || continue
		entries=$(quiet timeout 10 find "$local_folder/" -maxdepth 1 ! -name "*[$nl$tab]*" \
			\( -type l -o -type f \( ! -user 0 -o -perm -020 -o -perm -002 \) \) -print) ||
			undecided unguarded "$1" "$local_folder" "whose its programs are"
		for entry in $entries; do
			! is_called "${entry##*/}" || judge_named unguarded "$1" "$entry"
		done
	done
}
