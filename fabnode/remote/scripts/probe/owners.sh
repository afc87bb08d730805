# What root runs, or goes by, though others than root may write it: what unit files and drop-ins name,
# what the kubelet's settings name, programs of /usr/local that are found before the system's.
# shellcheck shell=sh disable=SC2016,SC2086,SC2154 # dollars in single quotes are awk's; lists are split at line ends on purpose; set by other parts

reported=$nl others_count=0
emit_others() { # emit_others RECORD BY PATH: once each, and as many as the parser takes
	case $reported in *"$nl$1$tab$3$tab$2$nl"*) return ;; esac
	reported=$reported$1$tab$3$tab$2$nl others_count=$((others_count + 1))
	[ $others_count -gt "$most_others" ] || emit "$1" "$3" "$2"
}
undecided() { emit_others "$1" "$2" "$3"; } # undecided RECORD BY PATH WHY: it is not believed

# Of the words of a command, as systemd.service(5) has its prefixes, what is a file is judged: it may be
# run, whatever the program is. More words than any unit has are not looked through, and not believed.
named=
[ -z "$started" ] || named=$(awk -v most=200 '
	function tell(kind, path) {
		if (path !~ /^\// || path == "/dev/null" || seen[FILENAME, kind, path]++) return
		if (++count[FILENAME] <= most) print kind "\t" path "\t" FILENAME
		else if (count[FILENAME] == most + 1) print "more\t" FILENAME "\t" FILENAME
	}
	FNR == 1 { whole = "" }
	/^[ \t]*[#;]/ { next } # within a line that goes on as well
	{ whole = whole $0 }
	sub(/\\$/, " ", whole) { next }
	{
		line = whole
		whole = ""
		sub(/^[ \t]+/, "", line)
	}
	line ~ /^Exec[A-Za-z]*[ \t]*=/ {
		sub(/^[^=]*=/, "", line)
		words = split(line, word, /[ \t"\047();&|<>]+/)
		kind = "program"
		for (each = 1; each <= words; each++) {
			if (kind == "program") sub(/^[-@+!:]+/, "", word[each])
			if (word[each] == "") continue
			tell(kind, word[each])
			kind = "word"
		}
	}
	line ~ /^EnvironmentFile[ \t]*=/ {
		sub(/^[^=]*=[ \t]*-?/, "", line)
		sub(/[ \t]+$/, "", line)
		tell("pattern", line)
	}
' $started)
for line in $named; do
	what=${line%%"$tab"*} line=${line#*"$tab"}
	path=${line%%"$tab"*} by=${line#*"$tab"}
	case $what in
	program) judge_named unguarded "$by" "$path" ;;
	word) [ ! -f "$path" ] || judge_named unguarded "$by" "$path" ;;
	pattern) judge_pattern swayed "$by" "$path" ;;
	*) undecided swayed "$by" "$path" ;;
	esac
done

# FlexVolume's programs lie two levels below their folder; of manifests and settings no more is read.
for line in $obeyed; do
	what=${line%%"$tab"*} line=${line#*"$tab"}
	judge_tree "$what" "${line%%"$tab"*}" "${line#*"$tab"}" 3
done

judge_local PATH
