# Files in quarantine, and the end of the examination.
# shellcheck shell=sh disable=SC2154 # set before it, see examine/units, or by other parts

if [ -d "$state/quarantine" ]; then
	judge_folder "$state/quarantine"
	if [ "$controlled" = 1 ]; then
		find "$state/quarantine" -type f ! -name NOTE ! -name "*$nl*" |
			head -n "$most_quarantined" | while read -r path; do emit quarantined "$path"; done
	else
		emit limit "$state/quarantine: others than root may put something else there"
	fi
fi

emit end "$nonce"
