# Units, and what they had read when fabnode last started them.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

# A bare host has none of them, which costs less to see than to have systemd say.
heard_of() { # heard_of UNIT: whether there is a file of it in systemd's load path (systemd.unit(5))
	for folder in /etc /run /usr/local/lib /usr/lib /lib; do
		[ ! -e "$folder/systemd/system/$1" ] || return 0
	done
	for folder in system.control transient generator generator.early generator.late; do
		[ ! -e "/run/systemd/$folder/$1" ] || return 0
	done
	return 1
}
known=
for unit in $units; do
	if [ -d "$state/stamps" ] || heard_of "$unit"; then known=1; fi
done

if [ -n "$known" ]; then
	add "$(systemctl show -p Id,LoadState,ActiveState,SubState,UnitFileState,NRestarts \
		-p ActiveEnterTimestampMonotonic,NeedDaemonReload -- $units | {
		set -- $units
		while read -r line; do # an empty one between units
			if [ -n "$line" ]; then printf 'unit\t%s\t%s\n' "${1-}" "$line"; else shift; fi
		done
	})"
	for unit in $units; do
		[ -n "$own" ] && [ -f "$state/stamps/$unit" ] || continue
		while read -r line; do say stamp "$unit" "${line%% *}" "${line#* }"; done <"$state/stamps/$unit"
	done
fi
