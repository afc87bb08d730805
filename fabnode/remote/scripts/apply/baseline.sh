# Baseline: the host as it was before the first change, which `inv reset` goes back to.
#
# It is written once, and never again: on a host that was changed before it was recorded, what is there
# now is no "before". Files that a deployment replaces are kept below `before`; since files are replaced
# by rename, another link to the old one is enough where that is on the same file system.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

record_baseline() { # record_baseline FILE…: of which any shows that a deployment was here before
	for file in "$state/baseline" "$state/stamps" "$@"; do
		[ ! -e "$file" ] || return 0
	done
	observe_surroundings >baseline && keep_files_before && sync -- baseline && ln -T baseline "$state/baseline" || {
		echo "the record of the host as it was can't be written to $state" >&2
		exit 1
	}
	# A line in one write, for heartbeats are written at the same time.
	if [ "$(wc -c <baseline)" -le "$most_bytes" ]; then
		awk '{ print "baseline\t" $0; fflush() }' baseline
	else
		emit baseline cut record
	fi
}

keep_files_before() { # of those that are observed
	rm -rf "$state/before"
	printf '%s\n' "$observed_paths" | while IFS= read -r path; do
		[ -f "$path" ] || [ -h "$path" ] || continue
		copy=$state/before$path
		mkdir -p "${copy%/*}" || exit
		[ ! -h "$path" ] && ln -T "$path" "$copy" 2>/dev/null || cp -pP -- "$path" "$copy" || exit
		[ -h "$copy" ] || sync -- "$copy" || exit
	done
}
