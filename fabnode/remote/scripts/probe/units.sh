# Units, and what they had read when fabnode last started them.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at line ends on purpose; set by other parts

# A bare host has none of them, which is cheaper to see here than to ask systemd.
has_unit_file() { # has_unit_file UNIT: somewhere in systemd's load path (systemd.unit(5))
	for folder in $unit_folders; do
		[ ! -e "$folder/$1" ] || return 0
	done
	return 1
}
units_exist=
for unit in $units; do
	if [ -d "$state/stamps" ] || has_unit_file "$unit"; then units_exist=1; fi
done

if [ -n "$units_exist" ]; then
	emit_lines "$(systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts \
		-p ActiveEnterTimestampMonotonic,NeedDaemonReload -- $units | {
		set -- $units
		while read -r line; do # an empty one between units
			if [ -n "$line" ]; then printf 'unit\t%s\t%s\n' "${1-}" "$line"; else shift; fi
		done
	})"
	for unit in $units; do
		[ -n "$own_state" ] && [ -f "$state/stamps/$unit" ] || continue
		while read -r line; do emit stamp "$unit" "${line%% *}" "${line#* }"; done <"$state/stamps/$unit"
	done
fi
