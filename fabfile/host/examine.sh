# shellcheck shell=sh
# shellcheck disable=SC2154 # named below as set before it
# shellcheck disable=SC2086 # lists are split at line ends on purpose, and nothing is globbed
# One look at a host for `inv audit`, whoever made a node of it. Runs as root under any POSIX shell
# (dash, busybox) with coreutils, grep, find, awk and systemctl; what else it uses may be missing.
#
# It prints lines of `tag<TAB>field…`, the last field free to hold anything but a line end, and
# ends with `end<TAB>$nonce`. It changes nothing. Private keys, tokens and passwords never leave the
# host: of a key its public half is told, of a token its kind.
#
# Set before it: nonce, state (fabnode's directory there), units (one a line), roots (where to look
# for keys and kubeconfigs, one a line), users (where systemd, cron and the like may name them), and
# most_…, how much of each kind is told (limits.py; the parser holds the answer to the same).

set -uf # nothing is globbed but where it says so
LC_ALL=C TZ=UTC0
export LC_ALL TZ
umask 077
tab=$(printf '\t') nl='
'
IFS=$nl

say() { # say TAG FIELD…
	line=$1
	shift
	for field; do line=$line$tab$field; done
	printf '%s\n' "$line"
}

has() { command -v "$1" >/dev/null 2>&1; }

up=0
read -r up </proc/uptime && say uptime "${up%% *}"
awk -v most="$most_swaps" 'NR > 1 && NR <= most + 1 { print "swap\t" $1 }' /proc/swaps 2>/dev/null

### Units and programs

systemctl show -p Id,ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic \
	-p MainPID,FragmentPath,DropInPaths -- $units |
	names=$units awk -v most="$most_unit_length" '
		BEGIN { split(ENVIRON["names"], name, "\n"); unit = 1 }
		/^$/ { unit++; next }
		length($0) <= most { print "unit\t" name[unit] "\t" $0 }'

[ ! -d "$state/stamps" ] || for unit in $units; do
	[ ! -e "$state/stamps/$unit" ] || say managed "$unit"
done

# Command lines without what may be a secret in them.
arguments() { # arguments NAME: from lines
	awk -v name="$1" -v most="$most_args" -v longest="$most_arg_length" '
		length($0) > longest || NR > most { next }
		hide { hide = 0; print "arg\t" name "\t<hidden>"; next }
		/^--?[a-z-]*(token|password|passwd|secret)$/ { hide = 1 }
		/^--?[a-z-]*(token|password|passwd|secret)=/ { sub(/=.*/, "=<hidden>") }
		{ gsub(/:\/\/[^\/@ ]*@/, "://<hidden>@") }
		length($0) <= longest { print "arg\t" name "\t" $0 }'
}

# Programs by what they are called, those outside of containers first.
here=$(stat -L -c %d:%i /)
seen=$nl configs= kubelet_exe=
set +f
for folder in /proc/[0-9]*; do
	name=
	read -r name <"$folder/comm" || continue
	case $name in
	kubelet | kube-proxy | dockerd | kube-apiserver | kube-controller | kube-scheduler | etcd) ;;
	*) continue ;;
	esac 2>/dev/null
	root=$(stat -L -c %d:%i "$folder/root/")
	if [ "$root" = "$here" ]; then inside=host; else inside=container; fi
	case $name in
	kube-apiserver | kube-controller | kube-scheduler | etcd)
		# A pod may call itself what it likes.
		[ $inside = container ] || say control "$name"
		continue
		;;
	esac
	case $seen in *"$nl$name $inside$nl"* | *"$nl$name host$nl"*) continue ;; esac
	seen="$seen$name $inside$nl"
	say program "$name" "$inside"
	tr '\0' '\n' <"$folder/cmdline" | arguments "$name"
	[ "$name" != kubelet ] || kubelet_exe=$folder/exe
	[ $inside = container ] ||
		configs=$configs$(tr '\0' '\n' <"$folder/cmdline" | awk '
			after { print; after = 0 } /^--?config$/ { after = 1 } sub(/^--?config=/, "")')$nl
done 2>/dev/null
set -f
for name in kubelet kube-proxy dockerd; do # those that are down now
	case $seen in *"$nl$name "*) continue ;; esac
	unit=$name.service
	[ $name != dockerd ] || unit=docker.service
	words=$(systemctl show -p ExecStart --value -- $unit 2>/dev/null |
		sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
	[ -n "$words" ] || continue
	say program "$name" down
	printf '%s\n' "$words" | arguments "$name"
	configs=$configs$(printf '%s\n' "$words" | awk '
		after { print; after = 0 } /^--?config$/ { after = 1 } sub(/^--?config=/, "")')$nl
done
for name in kube-apiserver kube-controller-manager etcd; do
	[ ! -e "/etc/kubernetes/manifests/$name.yaml" ] || say control "$name"
done
[ -z "$kubelet_exe" ] || say version "$(timeout 5 "$kubelet_exe" --version 2>/dev/null | head -n 1 | cut -c 1-80)"

### Texts: unit files with their drop-ins, and configurations that command lines name

above() { # above PATH: its mode bits that tell who may enter, and whether only root rules its place
	reachable=1 controlled=1 folder=$1 folders=/
	while
		folder=${folder%/*}
		[ -n "$folder" ]
	do folders=$folders$nl$folder; done
	for folder in $(stat -L -c '%u %a' -- $folders 2>/dev/null); do
		bits=0${folder#* }
		[ $((bits & 1)) -ne 0 ] || reachable=0
		[ "${folder%% *}" = 0 ] && [ $((bits & 022)) -eq 0 ] || controlled=0
	done
}

hides='PRIVATE KEY|[Tt]oken"?[=:] *[^ ]|[Pp]ass(word|wd)"?[=:]|[Ss]ecret[A-Za-z_]*"?[=:]|key-data|Authorization"?:|[Bb]earer|staticPodURLHeader|://[^/@ ]*:[^/@ ]*@'
texts=$(
	systemctl show -p FragmentPath,DropInPaths --value -- $units | tr ' ' '\n'
	printf %s "$configs"
)
count=0
for path in $(printf '%s\n' "$texts" | grep '^/' | sort -u); do
	count=$((count + 1))
	[ $count -le "$most_texts" ] || {
		say unseen "more than $most_texts unit files and configurations"
		break
	}
	[ -f "$path" ] || continue
	entry=$(stat -L -c '%a %u %s' -- "$path") || continue
	mode=${entry%% *} size=${entry##* } owner=${entry#* }
	owner=${owner%% *}
	above "$path"
	[ "$owner" = 0 ] && [ ! -L "$path" ] || controlled=0
	content=-
	[ "$size" -gt "$most_text_size" ] || grep -qE "$hides" -- "$path" || content=$(base64 -w 0 <"$path")
	say text "$mode" "$controlled" "$(sha256sum <"$path" | cut -d ' ' -f 1)" "$content" "$path"
done

### Keys, certificates, kubeconfigs, tokens

# The public half of a key. ssh-keygen is there wherever sshd is and takes keys from a pipe; what it
# can't read openssl may. Neither prints anything of the private half.
public() {
	key=$(cat)
	half=
	if has ssh-keygen; then
		half=$(printf '%s\n' "$key" | ssh-keygen -y -P '' -f /dev/stdin 2>/dev/null | cut -d ' ' -f 1,2)
	fi
	if [ -z "$half" ] && has openssl; then
		half=$(printf '%s\n' "$key" | openssl pkey -pubout -passin pass: 2>/dev/null | grep -v -e ----- | tr -d '\n')
		[ -z "$half" ] || half="spki $half"
	fi
	printf '%s' "$half" | head -c 2000
}

folders=
for path in $roots; do [ ! -d "$path" ] || folders=$folders$path$nl; done
found=
search() { # search SECONDS FIND-ARGUMENT…: into $found
	limit=$1
	shift
	found=$found$(timeout "$limit" find $folders -xdev "$@" 2>/dev/null)$nl
	case $? in 124 | 137) say unseen "files that a search did not reach within $limit s" ;; esac
}
if [ -n "$folders" ]; then
	search 60 -maxdepth 6 \
		\( -path '*/kubelet/pods' -o -path '*/kubelet/plugins' -o -path '*/.ssh' -o -path '*/.cache' \
		-o -path '*/node_modules' -o -path '*/.git' -o -path "$state" \) -prune -o \
		-type f -size -128 ! -name "*$nl*" ! -name "*$tab*" -exec grep -lE \
		'^-----BEGIN ([A-Z]+ )*(PRIVATE KEY|CERTIFICATE)-----|client-key-data|client-certificate-data|"?kind"?: *"?Config"?' {} +
	# Static tokens of an apiserver: `token,user,uid,"groups"`.
	search 20 -maxdepth 4 -type f -size -16 ! -path "$state/*" \
		\( -name '*token*.csv' -o -name 'basic*auth*.csv' \) -exec grep -lE '^[^,#]+,[^,]+,' {} +
fi
found=$(printf '%s\n' "$found" | grep '^/' | sort -u)
[ "$(printf '%s\n' "$found" | wc -l)" -le "$most_files" ] || {
	say unseen "files beyond the first $most_files that hold keys or certificates"
	found=$(printf '%s\n' "$found" | head -n "$most_files")
}

last=
for path in $found; do
	entry=$(stat -c '%a %u' -- "$path") || continue
	[ "${path%/*}" = "$last" ] || above "$path"
	last=${path%/*}
	owned=$controlled
	[ "${entry#* }" = 0 ] || owned=0
	kind=pem
	case $path in *.csv) kind=csv ;; esac
	if grep -qE '^"?clusters"?:|"clusters":' -- "$path" && grep -qE '"?users"?:' -- "$path"; then
		kind=kubeconfig
	fi
	say file "${entry%% *}" "${entry#* }" "$reachable" "$owned" "$kind" "$path"
	keys=$(grep -cE '^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----' -- "$path")
	[ "$keys" -le "$most_keys" ] || keys=$most_keys
	number=0
	while [ $number -lt "$keys" ]; do
		number=$((number + 1))
		say key "$(awk -v want=$number '
			/^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/ { count++; on = count == want }
			on { print }
			/^-----END/ { on = 0 }' "$path" | public)" "$path"
	done
	case $kind in
	csv) say token csv "$path" ;;
	kubeconfig)
		# By words, not lines: it may be JSON.
		for data in $(grep -oE 'client-certificate-data"?: *"?[A-Za-z0-9+/=]+' -- "$path" | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say certificate_data "$data" "$path"
		done
		for data in $(grep -oE 'client-key-data"?: *"?[A-Za-z0-9+/=]+' -- "$path" | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say key "$(printf %s "$data" | base64 -d 2>/dev/null | public)" "$path"
		done
		grep -oE '(^|[ {,"])token"?: *"?[^ ",}]+' -- "$path" | head -n "$most_keys" | sed 's/.*[: "]//' |
			while read -r token; do
				case $token in
				eyJ*.*.*) say token jwt "$path" ;;
				??????.????????????????) say token bootstrap "$path" ;;
				*) say token static "$path" ;;
				esac
			done
		! grep -qE '(^|[ {,"])password"?: *"?[^ ",}]' -- "$path" || say token password "$path"
		;;
	esac
done
[ -z "$found" ] || awk -v most="$most_blocks" -v lines_most="$most_block_lines" -v longest="$most_block_length" '
	FNR == 1 { inside = 0; blocks = 0 }
	/^-----BEGIN/ { inside = 0 }
	/^-----BEGIN CERTIFICATE-----$/ { blocks++; lines = 0; inside = blocks <= most }
	inside && ++lines <= lines_most && length($0) <= longest && /^[-A-Za-z0-9+\/= ]+$/ { print "pem\t" $0 "\t" FILENAME }
	/^-----END/ { inside = 0 }
' $found

# Who names these files: units, cron, CNI, static pods, command lines.
if [ -n "$found" ]; then
	existing=
	for path in $users; do [ ! -e "$path" ] || existing=$existing$path$nl; done
	[ -z "$existing" ] || printf '%s\n' "$found" | timeout 20 grep -roF -f - -- $existing 2>/dev/null |
		sort -u | head -n "$most_users" | while IFS=: read -r user path; do say used "$user" "$path"; done
	set +f
	words=$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n') # before grep is one of them
	set -f
	printf '%s\n' "$words" | grep -oF -- "$found" | sort -u | head -n "$most_running" |
		while read -r path; do say used "a running program" "$path"; done
fi

### Packet filter: the built-in chains, and whether kube-proxy's are there

# kube-proxy may use the other of the two iptables than the host does.
proxied() {
	for command in iptables iptables-nft iptables-legacy; do
		has $command || continue
		# The old one makes a table by asking for it.
		[ $command != iptables-legacy ] || grep -qx nat /proc/net/ip_tables_names 2>/dev/null || continue
		timeout 20 $command -w 5 -t nat -S 2>/dev/null | awk '
			/^-N KUBE-SERVICES$/ { chain = 1 }
			/^-A (PREROUTING|OUTPUT) .*-j KUBE-SERVICES/ { jump = 1 }
			END { exit !(chain && jump) }' && return
	done
	return 1
}

if has iptables; then
	for table in filter nat; do
		if rules=$(timeout 20 iptables -w 5 -t $table -S 2>/dev/null); then
			say rules $table
			printf '%s\n' "$rules" | table=$table awk -v most="$most_rules" -v longest="$most_rule_length" '
				/^-A (INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) / && length($0) <= longest && ++count <= most {
					print "rule\t" ENVIRON["table"] "\t" $0 }
				END {
					if (count > most) print "unseen\trules beyond the first " most " of table " ENVIRON["table"]
				}'
		else
			say unseen "iptables table $table: iptables -S failed"
		fi
	done
	! proxied || say proxied
else
	say unseen "iptables rules: there is no iptables"
fi

[ ! -d "$state/quarantine" ] || find "$state/quarantine" -type f ! -name NOTE ! -name "*$nl*" 2>/dev/null |
	head -n "$most_quarantined" | while read -r path; do say quarantined "$path"; done

say end "$nonce"
