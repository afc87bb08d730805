# What root runs or goes by though others may write it: programs of units, configurations, folders.
#
# Two records, each with the unit that it is of: `unguarded`, a program that it runs, and `swayed`, what
# decides what it runs. Their paths are judged; nothing is run, and nothing read that others may write.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

reported=$nl
emit_others() { # emit_others RECORD UNIT PATH: once each, and as many of a unit as the parser takes
	case $reported in *"$nl$1$tab$2$tab$3$nl"*) return ;; esac
	reported=$reported$1$tab$2$tab$3$nl
	others_count=$(printf %s "$reported" | grep -cF "$1$tab$2$tab")
	if [ "$others_count" -le "$most_executables" ]; then
		emit "$1" "$2" "$3"
	elif [ "$others_count" -eq $((most_executables + 1)) ]; then
		others_what=programs
		[ "$1" = unguarded ] || others_what=files
		emit limit "$2: $others_what of others beyond the first $most_executables"
	fi
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
		emit limit "$3: programs differ in what they make of .. in a path"
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
		\( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune) || emit limit "$3: whose its files are"
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

# Commands that run what they are told to: the files among their words are run as well.
wrappers='sh|ash|bash|dash|busybox|env|nice|ionice|chrt|taskset|timeout|flock|setpriv|nsenter|python[0-9.]*|perl'

judge_unit() { # judge_unit UNIT: what systemd starts for it, and by what; sets $unit_command and $unit_path
	unit_command= unit_path=
	# Of the environment PATH alone goes on: the rest may be secrets.
	shown=$(systemctl show -p ExecCondition,ExecStartPre,ExecStart,ExecStartPost,ExecReload,ExecStop,ExecStopPost \
		-p EnvironmentFiles,Environment,FragmentPath,DropInPaths -- "$1" | awk -v wrapper="/($wrappers)\$" -v most="$most_executables" '
		function tell(kind, path) { if (path ~ /^\// && !seen[kind, path]++ && ++count[kind] <= most) print kind "\t" path }
		/^Exec[A-Za-z]*={ path=/ {
			program = $0
			sub(/^Exec[A-Za-z]*={ path=/, "", program)
			sub(/ ; argv.*/, "", program)
			tell("program", program)
			words = $0
			sub(/.*argv\[\]=/, "", words)
			sub(/ ; ignore_errors=.*/, "", words)
			if (/^ExecStart=/ && !commands++) print "command\t" words
			if (program !~ wrapper) next
			number = split(words, word, /[ "\047();&|<>]+/)
			for (each = 1; each <= number; each++) tell("word", word[each])
		}
		sub(/^EnvironmentFiles=/, "") { sub(/ \(ignore_errors=.*/, ""); tell("pattern", $0) }
		/^(FragmentPath|DropInPaths)=/ {
			sub(/^[A-Za-z]*=/, "")
			number = split($0, word, / /)
			for (each = 1; each <= number; each++) tell("file", word[each])
		}
		/^Environment=/ && match($0, /[ ="]PATH=[^" ]*/) { print "path\t" substr($0, RSTART + 6, RLENGTH - 6) }')
	for line in $shown; do
		value=${line#*"$tab"}
		case $line in
		command"$tab"*) unit_command=$(printf '%s\n' "$value" | tr ' ' '\n') ;;
		path"$tab"*) unit_path=$(printf '%s\n' "$value" | tr ':' '\n') ;;
		program"$tab"*) judge_named unguarded "$1" "$value" ;;
		word"$tab"*) [ ! -f "$value" ] || judge_named unguarded "$1" "$value" ;;
		pattern"$tab"*) judge_pattern swayed "$1" "$value" ;;
		file"$tab"*) judge_named swayed "$1" "$value" ;;
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
