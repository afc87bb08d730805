# Files in quarantine, and the end of the answer.
# shellcheck shell=sh disable=SC2154 # set before, or by parts before it

[ ! -d "$state/quarantine" ] || find "$state/quarantine" -type f ! -name NOTE ! -name "*$nl*" 2>/dev/null |
	head -n "$most_quarantined" | while read -r path; do say quarantined "$path"; done

say end "$nonce"
