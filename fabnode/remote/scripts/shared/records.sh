# Records: lines of fields with tabs between, printed at once.
# shellcheck shell=sh disable=SC2154 # set by parts before it

say() { # say FIELD…: one line, in one write, for the beat speaks as well
	line=$1
	shift
	for field; do line="$line$tab$field"; done
	printf '%s\n' "$line"
}
