# Certificates, servers and their CAs: nothing else of these files leaves the node; some hold keys.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

readable=
for path in $certificates $servers; do
	case $nl$readable in *"$nl$path$nl"*) continue ;; esac
	[ -f "$path" ] && [ -r "$path" ] && readable="$readable$path$nl"
done
# Who may write one may have put his own there, or keeps it open: its owner and mode, by any link.
[ -z "$readable" ] || for line in $(stat -L -c '%u %a %n' -- $readable 2>/dev/null); do
	owner=${line%% *} line=${line#* }
	[ "$owner" = 0 ] && [ $((0${line%% *} & 022)) -eq 0 ] || emit loose "${line#* }"
done
[ -z "$readable" ] || emit_lines "$(awk '
	FNR == 1 || /-----BEGIN/ { inside = 0 }
	/^-----BEGIN CERTIFICATE-----$/ { inside = 1 }
	inside && /^[-A-Za-z0-9+\/= ]+$/ { print "certificate\t" $0 "\t" FILENAME }
	/-----END/ { inside = 0 }
	$1 == "client-certificate-data:" { print "certificate_data\t" $2 "\t" FILENAME }
	$1 == "client-certificate:" { print "client\t" $2 "\t" FILENAME }
	$1 == "server:" { print "server\t" $2 "\t" FILENAME }
	$1 == "certificate-authority:" { print "authority\t" $2 "\t" FILENAME }
	$1 == "certificate-authority-data:" { print "authority_data\t" $2 "\t" FILENAME }
' $readable)"
