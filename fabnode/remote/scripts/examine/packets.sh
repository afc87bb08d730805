# Packet filter: the built-in chains, and whether kube-proxy's are there.
# shellcheck shell=sh disable=SC2016,SC2154 # dollars in single quotes are awk's; set before it, see examine/units, or by other parts

has_proxy_chains() { # kube-proxy may use the other of the two iptables than the host does. 2: not known
	chains=1
	for command in iptables iptables-nft iptables-legacy; do
		has $command || continue
		# The legacy one creates a table when it is asked for it.
		[ $command != iptables-legacy ] || quiet grep -qx nat /proc/net/ip_tables_names || continue
		rules=$(judged timeout 20 $command -w 5 -t nat -S)
		case $?:$command in
		0:*) ;;
		4:iptables-nft) continue ;; # it takes no lock: this kernel has no nf_tables
		4:* | 124:*)
			chains=2
			continue
			;;
		*) continue ;;
		esac
		printf '%s\n' "$rules" | awk '
			/^-N KUBE-SERVICES$/ { chain = 1 }
			/^-A (PREROUTING|OUTPUT) .*-j KUBE-SERVICES/ { jump = 1 }
			END { exit !(chain && jump) }' && return
	done
	return $chains
}

if has iptables; then
	for table in filter nat; do
		rules=$(judged timeout 20 iptables -w 5 -t $table -S)
		status=$?
		if [ $status = 0 ]; then
			emit rules $table
			printf '%s\n' "$rules" | env "table=$table" awk -v most="$most_rules" -v longest="$most_rule_length" '
				/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) / && length($0) <= longest && ++count <= most {
					print "rule\t" ENVIRON["table"] "\t" $0 }
				END {
					if (count > most) print "unseen\trules beyond the first " most " of table " ENVIRON["table"]
				}'
		else
			case $status in
			# Its lock may be readable for others, and whoever can open it can hold it.
			4 | 124) emit limit "iptables table $table: somebody held its lock, or it did not answer in time" ;;
			*) emit unseen "iptables table $table: iptables -S failed" ;;
			esac
		fi
	done
	has_proxy_chains
	case $? in
	0) emit proxied ;;
	2)
		emit proxied_unknown
		emit limit "kube-proxy's chains: somebody held the lock of one of this host's iptables, or it did not answer in time"
		;;
	esac
else
	emit unseen "iptables rules: there is no iptables"
fi
