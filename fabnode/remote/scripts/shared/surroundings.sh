# Surroundings: what a node's components change or add to on a host beside files, as records.
#
# They are observed before the first change (apply/baseline.sh) and for a reset, by the same code, so
# that the two can be compared. Nothing is changed, and no kernel module is loaded for it: of the
# packet filters only those are asked that are there.
#
# Set before it, as lists with an entry a line: observed_settings (files below /proc/sys and /sys),
# observed_units, observed_paths; and most_lines, most_letters (limits.py), mountinfo.
# shellcheck shell=sh disable=SC2154 # set before it

begin_records() { # begin_records TAG: what is printed from here on
	tag=$1
	printf '\001%s\n' "$1"
}

# What could not be started, or was ended, has not shown all: its records are marked as cut.
shown_by() { # shown_by PROGRAM ARGUMENT…
	"$@"
	case $? in 12[4-9] | 13? | 140 | 14[2-9]) printf '\001cut\n%s\n' "$tag" ;; esac
}

print_surroundings() ( # in a subshell, for its settings
	LC_ALL=C IFS='
'
	export LC_ALL
	set -f
	begin_records machine
	[ ! -f /etc/machine-id ] || cat /etc/machine-id
	if has ip; then
		begin_records interface
		shown_by ip -o -d link show
		begin_records address
		shown_by ip -o addr show
		for family in -4 -6; do
			begin_records "route$tab${family#-}"
			shown_by ip "$family" route show table all
			begin_records "rule$tab${family#-}"
			shown_by ip "$family" rule show
		done
	else
		begin_records lacks
		echo ip
	fi
	for program in iptables ip6tables; do
		print_rules "$program"
	done
	if has nft; then
		begin_records nft
		shown_by timeout 10 nft -s list ruleset
	fi
	# Containers see no modules, and can load none.
	if has ipset && { [ -d /sys/module/ip_set ] || [ ! -d /sys/module ]; }; then
		begin_records ipset
		shown_by timeout 10 ipset list -n
	fi
	begin_records mount
	shown_by cat "$mountinfo"
	begin_records module
	[ ! -r /proc/modules ] || cat /proc/modules
	begin_records swap
	[ ! -r /proc/swaps ] || cat /proc/swaps
	begin_records user
	[ ! -r /etc/passwd ] || cut -d : -f 1,3 /etc/passwd
	begin_records setting
	# shellcheck disable=SC2086 # a list
	[ -z "$observed_settings" ] || grep -Hs '' $observed_settings
	begin_records unit
	# shellcheck disable=SC2086
	shown_by timeout 10 systemctl show -p Id,LoadState,ActiveState,UnitFileState,FragmentPath -- $observed_units
	begin_records asked
	printf '%s\n' "$observed_paths"
	begin_records path
	# shellcheck disable=SC2086
	[ -z "$observed_paths" ] || shown_by stat -c '%f|%u|%g|%s|%n' -- $observed_paths
	begin_records filled
	for path in $observed_paths; do
		[ ! -d "$path" ] || [ -h "$path" ] || ! holds_anything "$path" || printf '%s\n' "$path"
	done
	begin_records whole
) 2>/dev/null

holds_anything() { # holds_anything FOLDER: beside what a new file system has
	set +f
	for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		case $entry in */lost+found) continue ;; esac
		if [ -e "$entry" ] || [ -h "$entry" ]; then break; fi
		entry=
	done
	set -f
	[ -n "$entry" ]
}

print_rules() { # print_rules iptables|ip6tables: of each of its two back ends that holds any
	case $1 in
	iptables) names=/proc/net/ip_tables_names ;;
	*) names=/proc/net/ip6_tables_names ;;
	esac
	if has "$1-nft-save"; then
		begin_records "filter$tab$1-nft"
		shown_by timeout 10 "$1-nft-save"
	fi
	if [ -r "$names" ] && read -r _ <"$names" && ! has "$1-legacy-save" && ! has "$1-save"; then
		begin_records lacks
		echo "$1-legacy-save"
	elif has "$1-legacy-save"; then
		[ -r "$names" ] && read -r _ <"$names" || return 0
		begin_records "filter$tab$1-legacy"
		shown_by timeout 10 "$1-legacy-save"
	elif has "$1-save" && ! has "$1-nft-save"; then
		begin_records "filter$tab$1"
		shown_by timeout 10 "$1-save"
	fi
}

# Counters and what systems add to lists by themselves say nothing about who was here. It fails where
# the records end before their end: a shell that can't start a program ends, and what is left of the
# list is there no more.
observe_surroundings() {
	print_surroundings | awk -v most="$most_lines" -v longest="$most_letters" '
		substr($0, 1, 1) == "\001" { tag = substr($0, 2); count = 0; whole = tag == "whole"; next }
		tag ~ /^route/ && /^(local|broadcast|multicast|anycast) / { next }
		tag ~ /^filter/ && /^#/ { next }
		tag ~ /^filter/ { sub(/ \[[0-9]+:[0-9]+\]$/, "") }
		tag == "module" { $0 = $1 }
		tag == "swap" && /^Filename/ { next }
		tag == "swap" { $0 = $1 }
		tag == "mount" {
			for (i = 7; i <= NF && $i != "-"; i++);
			$0 = $(i + 1) "\t" $4 "\t" $5
		}
		++count > most || length($0) > longest {
			if (!cut[tag]++) print "cut\t" tag
			next
		}
		{ print tag "\t" $0 }
		END {
			if (!whole) print "cut\tall"
			exit !whole
		}'
}
