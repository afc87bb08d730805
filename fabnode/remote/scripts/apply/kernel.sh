# Kernel settings and rules of the packet filter.
# shellcheck shell=sh

write_sysctl() { # write_sysctl FILE VALUE
	printf %s "$2" >"$1"
}

delete_later_copies() { # delete_later_copies MEMBER TABLE: of the rules in MEMBER, from the end
	wait_member "$1" || return
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
		position=${last%% *} last=${last#* }
		# Others may have changed the chain since: the rule is deleted only if it is still there.
		[ "$(iptables -w 10 -t "$2" -S "$chain" "$position")" = "$last" ] || continue
		iptables -w 10 -t "$2" -D "$chain" "$position" || return
	done
}
