# Rules of packet filters that drop what no rule admits; nothing is printed of others.
# shellcheck shell=sh disable=SC2046,SC2154 # output is split at newlines on purpose; set by other parts

list_rules() { # list_rules COMMAND…: what it prints, at most
	timeout 5 "$@" 2>/dev/null | head -c 65536
}

if has nft; then
	seen=
	for line in $(timeout 5 nft list chains 2>/dev/null); do
		case $line in
		"table "*) table=${line#table } table=${table% \{} ;;
		*chain\ *) chain=${line#*chain } chain=${chain% \{} ;;
		*"hook input"* | *"hook forward"*)
			case $seen in *"$nl$table$nl"*) continue ;; esac
			family=${table%% *} name=${table#* }
			case $(list_rules nft list chain "$family" "$name" "$chain") in
			*"policy drop"* | *drop* | *reject*) ;;
			*) continue ;;
			esac
			seen=$seen$nl$table$nl
			for rule in $(list_rules nft list table "$family" "$name"); do emit nft_rule "$rule"; done
			;;
		esac
	done
fi

# The older way, which nft does not show; or the only one that is there to show rules.
iptables=
if read_first_line /proc/net/ip_tables_names; then
	if has iptables-legacy; then iptables="iptables-legacy"; else iptables=iptables; fi
elif ! has nft; then
	iptables=iptables
fi
if [ -n "$iptables" ] && has "$iptables"; then
	rules=$(list_rules "$iptables" -w 5 -S)
	case $nl$rules$nl in
	*"$nl-P INPUT DROP$nl"* | *"$nl-A INPUT "*"-j DROP"* | *"$nl-A INPUT "*"-j REJECT"*)
		for rule in $rules; do emit iptables_rule "$rule"; done
		;;
	esac
fi
