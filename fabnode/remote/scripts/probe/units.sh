# Units in systemd's own words, and which drop-ins it reads for them, wherever these are.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

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

drop_ins_read= # by systemd, whatever other names a unit has: an alias' folder counts as well
if [ -n "$units_exist" ]; then
	shown=$(systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts \
		-p ActiveEnterTimestampMonotonic,NeedDaemonReload,DropInPaths -- $units)
	set -- $units
	while read -r line; do # an empty one between units
		case $line in
		'') [ $# = 0 ] || shift ;;
		DropInPaths=*) drop_ins_read="$drop_ins_read ${line#*=}" ;;
		esac
		[ -z "$line" ] || emit unit "${1-}" "$line"
	done <<-END
		$shown
	END
fi
