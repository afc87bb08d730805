# Serves parts to neighbours, as long as standard input is open: the deployer's end of it is the life line.
#
# What listens is systemd-socket-activate in a transient unit that can do nothing but read the parts. The
# unit has an end of its own, should this program be killed.
#
# Set before it: state, folder (below it, this run's), unit, endpoint (address and port), protocol (AF_INET or
# AF_INET6), table (tcp or tcp6, of /proc/net), seconds (the longest it may last), peers (addresses), peers_seen
# (the same as that table shows them), listening (so is ours), promised (the token's sha256), answer (the
# program that answers).
#
# Records: `made`, once parts can be kept there; `serving WHO`, of what keeps strangers out: kernel or
# script; `refused WHY`.
# shellcheck shell=sh disable=SC2154 # set before it

set -uf
umask 077
# shellcheck disable=SC2034 # of shared/records
tab=$(printf '\t')
serving= watcher=

has() { command -v "$1" >/dev/null 2>&1; }

stop_serving() {
	[ -z "$watcher" ] || kill "$watcher" 2>/dev/null
	[ -z "$serving" ] || systemctl stop -- "$unit" >/dev/null 2>&1
	[ -z "$serving" ] || systemctl reset-failed -- "$unit" >/dev/null 2>&1
	cd / && rm -rf "$folder"
}

refuse() {
	emit refused "$*"
	exit 1
}

is_listening() {
	awk -v here="$listening" '$2 == here && $4 == "0A" { found = 1 } END { exit !found }' "/proc/net/$table" 2>/dev/null
}

remove_leftovers() { # of runs that were killed with all their processes; a run that lives holds its lock
	set +f
	for left in "$state"/relay.*; do
		[ ! -e "$left/alive" ] || flock -n "$left/alive" true || refuse "another run of fabnode has it serve"
		systemctl stop -- "fabnode-relay-${left##*/relay.}.service" 2>/dev/null
		rm -rf "$left"
	done
	set -f
}

watch_unit() { # says when it ends before the run does
	# What is left of its last pause holds no output open, for whose end the deployer waits.
	while systemctl is-active --quiet -- "$unit"; do sleep 2 >/dev/null 2>&1 8>&-; done
	[ ! -d "$folder" ] || emit refused "its server ended"
}

serve_parts() {
	for program in systemd-run systemd-socket-activate flock; do
		has $program || refuse "it has no $program"
	done
	is_own_state "$state" || refuse "$state is not root's alone"
	remove_leftovers
	! is_listening || refuse "something else listens on $endpoint"
	trap stop_serving EXIT
	trap 'exit 143' HUP INT PIPE TERM
	mkdir "$folder" && cd "$folder" && mkdir parts && printf %s "$answer" >"$folder/answer" || refuse "$folder can't be written"
	exec 8>"$folder/alive" && flock -n 8 || refuse "$folder can't be locked"
	chmod 0755 "$folder" "$folder/parts" && chmod 0444 "$folder/answer"
	emit made
	serving=yes
	# Properties that systemd 239 knows, of RHEL 8. Its own user has no right to anything; beside that
	# the rest of fabnode's folder is out of its sight, and the file system read-only.
	# shellcheck disable=SC2086 # lists
	systemd-run --quiet --collect --unit="$unit" --description="parts for fabnode's other hosts, for this run" \
		-p Type=simple -p DynamicUser=yes -p RuntimeMaxSec="$seconds" -p TimeoutStopSec=5 \
		-p CapabilityBoundingSet= -p NoNewPrivileges=yes -p ProtectSystem=strict -p ProtectHome=yes \
		-p PrivateTmp=yes -p PrivateDevices=yes -p ProtectKernelTunables=yes -p ProtectKernelModules=yes \
		-p ProtectControlGroups=yes -p RestrictNamespaces=yes -p RestrictRealtime=yes -p LockPersonality=yes \
		-p MemoryDenyWriteExecute=yes -p RestrictAddressFamilies="$protocol" -p SystemCallArchitectures=native \
		-p TemporaryFileSystem="$state:ro" -p BindReadOnlyPaths="$folder" \
		-p IPAddressDeny=any -p IPAddressAllow="$peers" -p TasksMax=1024 -p LimitCORE=0 \
		-- "$(command -v systemd-socket-activate)" --accept --inetd --listen="$endpoint" \
		/bin/sh "$folder/answer" "$folder/parts" "$promised" "$table" $peers_seen >why 2>&1 </dev/null ||
		refuse "systemd-run: $(tail -n 1 why | cut -c 1-200)"
	turns=0
	# Somebody else may listen there by now: the unit has to be up a moment later as well.
	until is_listening && sleep 0.2 && systemctl is-active --quiet -- "$unit"; do
		turns=$((turns + 1))
		systemctl is-active --quiet -- "$unit" && [ $turns -le 100 ] ||
			refuse "its unit does not come up: $(journalctl --no-pager -q -o cat -n 1 -u "$unit" | cut -c 1-200)"
		sleep 0.05
	done
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then emit serving kernel; else emit serving script; fi
	watch_unit &
	watcher=$!
	cat >/dev/null
}
