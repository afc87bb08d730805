# Records: lines of fields with tabs between, printed at once.
# shellcheck shell=sh disable=SC2154 # tab: shared/base

emit() { # emit FIELD…: a record, in one write, for heartbeats are written at the same time
	record=$1
	shift
	for field; do record="$record$tab$field"; done
	printf '%s\n' "$record"
}
