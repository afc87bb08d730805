# What is fabnode's own on the host: its record from before the first change, files it kept, units.
#
# The program observes a host for `inv reset`, and changes nothing. It runs as root under any POSIX shell.
# Set before it: nonce, state, socket, ctr, crictl, shim (their paths), most_sandboxes, mountinfo, what
# shared/surroundings needs; and as lists: marks (files that only a deployment writes).
# shellcheck shell=sh disable=SC2154 # see above

# All that a reset removes there (remove_state): what is not seen here would be left for good.
own_names='baseline
stamps
digests
images
images.new
written
hooks
before
kept
kept.new
resetting'

observe_surroundings || emit cut all
own_state= # nobody else's record is believed, nor what others could have put there
! is_own_state "$state" || own_state=1
if [ -n "$own_state" ]; then
	for name in $own_names; do
		[ ! -e "$state/$name" ] || emit own "$state/$name"
	done
	[ ! -d "$state/quarantine" ] || emit quarantine
	[ ! -f "$state/resetting" ] || emit begun "$(head -n 1 "$state/resetting" | cut -c 1-300)"
	[ ! -f "$state/baseline" ] || awk -v most="$most_record" 'NR <= most { print "before\t" $0 }' "$state/baseline"
	[ ! -f "$state/written" ] || printf '%s\n' "$observed_paths" | awk '
		NR == FNR { observed[$0]; next }
		$0 in observed { print "managed\t" $0 }' - "$state/written"
	for path in $observed_paths; do
		if [ -e "$state/before$path" ] || [ -h "$state/before$path" ]; then
			emit kept "$(stat -c '%f|%u|%g|%s' -- "$state/before$path")|$path"
		fi
	done
fi
for path in $marks; do
	[ ! -f "$path" ] || emit own "$path"
done
for unit in $observed_units; do
	file=$unit_folder/$unit
	[ -f "$file" ] && [ ! -h "$file" ] && read -r line <"$file" && [ "$line" = "$mark" ] && emit own "$file"
done
