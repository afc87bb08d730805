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

undecided() { emit limit "$3: $4"; } # undecided RECORD UNIT PATH WHY: whose it is was not found out

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
