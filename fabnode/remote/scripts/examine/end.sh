# Files in quarantine, and the end of the examination.
# shellcheck shell=sh disable=SC2154 # set before it, see examine/units, or by other parts

[ ! -d "$state/quarantine" ] || find "$state/quarantine" -type f ! -name NOTE ! -name "*$nl*" 2>/dev/null |
	head -n "$most_quarantined" | while read -r path; do emit quarantined "$path"; done

emit end "$nonce"
