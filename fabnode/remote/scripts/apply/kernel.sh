# Rules of the packet filter and kernel settings.
# shellcheck shell=sh

once() { # once MEMBER TABLE: delete the later copies of the rules in MEMBER, from the end
	need "$1" || return
	turns=0
	while :; do
		rules=$(iptables -w 10 -t "$2" -S) || return
		# The last rule that is a later copy: its chain, its number there.
		last=$(printf '%s\n' "$rules" | awk '
			NR == FNR { wanted[$0]; next }
			/^-A / { number[$2]++ }
			$0 in wanted { if ($0 in seen) last = $2 " " number[$2] " " $0; seen[$0] }
			END { print last }' "$1" -)
		[ -n "$last" ] || return 0
		[ $((turns += 1)) -le 1000 ] || return
		chain=${last%% *} last=${last#* }
		at=${last%% *} last=${last#* }
		# Somebody else may have changed the chain since: it is deleted only if it is still there.
		[ "$(iptables -w 10 -t "$2" -S "$chain" "$at")" = "$last" ] || continue
		iptables -w 10 -t "$2" -D "$chain" "$at" || return
	done
}

### The kernel

sysctl() { # sysctl FILE VALUE
	printf %s "$2" >"$1"
}
