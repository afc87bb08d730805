# Durability: what a run says is done is still done after a power cut a moment later.
#
# File systems keep the names of new files at once and their contents up to half a minute later: a host
# that loses its power in between comes back with empty files of the right names.
# shellcheck shell=sh disable=SC2154 # nl: see shared/base

unsynced=

note_written() { # note_written PATH…: files that are new or changed, or names that are gone
	for path; do unsynced=$unsynced$path$nl; done
}

sync_written() { # all that was noted, and the folders that name it
	separators=$IFS IFS=$nl
	# shellcheck disable=SC2086 # a list
	set -- $unsynced
	IFS=$separators unsynced= written_files= named_in=
	for path; do
		[ ! -f "$path" ] || written_files=$written_files$path$nl
		[ ! -d "${path%/*}" ] || named_in=$named_in${path%/*}$nl
	done
	# Not every file system can do that to a folder, and those that can't don't need it.
	sync_each "$written_files" && { sync_each "$named_in" 2>/dev/null || :; }
}

sync_each() ( # sync_each LINES
	IFS=$nl
	# shellcheck disable=SC2086 # a list
	set -- $1
	[ $# -eq 0 ] || sync -- "$@"
)
