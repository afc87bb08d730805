# What units had read when fabnode last started them.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

[ -z "$own_state" ] || for unit in $units; do
	[ -f "$state/stamps/$unit" ] || continue
	while read -r line; do emit stamp "$unit" "${line%% *}" "${line#* }"; done <"$state/stamps/$unit"
done
