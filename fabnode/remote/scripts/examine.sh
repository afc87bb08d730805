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
		{ low = tolower($0) }
		low ~ /^--?[a-z_-]*(token|password|passwd|secret|credentials)$/ { hide = 1 }
		low ~ /^--?[a-z_-]*(token|password|passwd|secret|credentials)=/ { sub(/=.*/, "=<hidden>") }
		{ gsub(/:\/\/[^\/@ ]*@/, "://<hidden>@") }
		length($0) <= longest { print "arg\t" name "\t" $0 }'
}

# Provenance: what root alone controls, and what others could have written. Only the first is believed.

# Walks a folder's path, and the targets of the links on it, from the top. Into $controlled: nobody
# but root can put something else in the place of anything on the way, or into the folder; into
# $reachable: others may enter.
above() { # above FOLDER
	controlled=1 reachable=1 todo=$1 walks=0
	while [ -n "$todo" ]; do
		walk=${todo%%"$nl"*}
		case $todo in *"$nl"*) todo=${todo#*"$nl"} ;; *) todo= ;; esac
		walks=$((walks + 1))
		[ $walks -le 8 ] || {
			controlled=0
			return
		}
		step_paths=
		step_rest=$walk
		while [ -n "$step_rest" ]; do
			step_paths=$step_rest${step_paths:+$nl$step_paths}
			step_rest=${step_rest%/*}
		done
		step_paths=/${step_paths:+$nl$step_paths}
		steps=$(timeout 5 stat -c '%f %u %n' -- $step_paths 2>/dev/null) || controlled=0
		for step in $steps; do
			step_bits=$((0x${step%% *})) step=${step#* }
			step_owner=${step%% *} step_name=${step#* }
			[ "$step_owner" = 0 ] || controlled=0
			if [ $((step_bits & 0170000)) -eq $((0120000)) ]; then
				step_target=$(readlink -- "$step_name")
				case $step_target in /*) ;; *) step_target=${step_name%/*}/$step_target ;; esac
				todo=$todo${todo:+$nl}$step_target
				continue
			fi
			[ $((step_bits & 1)) -ne 0 ] || reachable=0
			[ $((step_bits & 022)) -eq 0 ] || {
				# Of a sticky folder nobody takes away what is root's, but anybody may add to it.
				[ $((step_bits & 01000)) -ne 0 ] && [ "$step_name" != "$walk" ] || controlled=0
			}
		done
	done
}

# Whether a file is root's alone: what is in it, and what lies at its path.
roots_own() { # roots_own FILE: no symlink
	[ -f "$1" ] && [ ! -L "$1" ] || return 1
	own_stat=$(stat -c '%u %a' -- "$1") || return 1
	[ "${own_stat%% *}" = 0 ] && [ $((0${own_stat#* } & 022)) -eq 0 ] || return 1
	above "${1%/*}"
	[ $controlled = 1 ]
}

# Whether a process is root's in every way: its users, the namespaces, the file that it runs.
roots_process() { # roots_process PID: its file is in $exe; where it is not, $apart says why
	apart=namespaces
	case $1 in '' | 0 | *[!0-9]*) return 1 ;; esac
	[ -e "/proc/$1/status" ] || return 1
	apart=control
	grep -q "^Uid:${tab}0${tab}0${tab}0${tab}0\$" "/proc/$1/status" || return 1
	apart=namespaces
	for space in mnt pid user; do
		[ "$(readlink "/proc/$1/ns/$space")" = "$(readlink /proc/self/ns/$space)" ] || return 1
	done
	[ "$(stat -L -c %d:%i "/proc/$1/root/")" = "$here" ] || return 1
	apart=control
	exe=$(readlink "/proc/$1/exe") || return 1
	case $exe in /*) ;; *) return 1 ;; esac
	case $exe in *"$nl"*) return 1 ;; esac
	[ "$(stat -L -c %d:%i "/proc/$1/exe")" = "$(stat -c %d:%i -- "$exe")" ] && roots_own "$exe"
}

# The programs of units, by the process that systemd started for each. What a process calls itself
# anybody chooses: it decides nothing. Nothing that is found is run.
here=$(stat -L -c %d:%i /)
configs= anchors=
services='kubelet.service
kube-proxy.service
docker.service
etcd.service
kube-apiserver.service
kube-controller-manager.service
kube-scheduler.service'
# Settings that name what decides whom a program obeys.
anchor_flags='client-ca-file|kubeconfig|bootstrap-kubeconfig|tls-cert-file|tls-private-key-file|pod-manifest-path|tlscacert|tlscert|tlskey'
anchor_keys='clientCAFile|kubeconfig|tlsCertFile|tlsPrivateKeyFile|staticPodPath'
pids=$(systemctl show -p MainPID -- $services | sed -n 's/^MainPID=//p')
set -- $pids
for service in $services; do
	pid=${1:-0}
	[ $# -eq 0 ] || shift
	name=${service%.service}
	case $name in
	etcd | kube-*r)
		[ "$pid" = 0 ] || say control "$name"
		continue
		;;
	docker) name=dockerd ;;
	esac
	state_of=down
	[ "$pid" = 0 ] || state_of=host
	if roots_process "$pid"; then
		words=$(tr '\0' '\n' <"/proc/$pid/cmdline")
	else
		words=$(systemctl show -p ExecStart --value -- "$service" 2>/dev/null |
			sed -n 's/.*argv\[\]=\(.*\) ; ignore_errors=.*/\1/p' | head -n 1 | tr ' ' '\n')
		case $pid:$apart in
		0:*) ;;
		*:control) say limit "the command line of $name as it runs: others than root control the process or its file, so its unit file's is judged" ;;
		*) say unseen "the command line of $name as it runs: it has namespaces of its own or has ended, so its unit file's is judged" ;;
		esac
	fi 2>/dev/null
	[ -n "$words" ] || continue
	say program "$name" $state_of
	printf '%s\n' "$words" | arguments "$name"
	configs=$configs$(printf '%s\n' "$words" | awk '
		after { print; after = 0 } /^--?config$/ { after = 1 } sub(/^--?config=/, "")')$nl
	anchors=$anchors$(printf '%s\n' "$words" | awk -v wanted="^(${anchor_flags})\$" '
		after { print; after = 0; next }
		/^--?[a-z]/ {
			at = index($0, "=")
			flag = at ? substr($0, 1, at - 1) : $0
			sub(/^--?/, "", flag)
			gsub(/_/, "-", flag)
			if (flag ~ wanted) { if (at) print substr($0, at + 1); else after = 1 }
		}')$nl
	[ "$name" != dockerd ] || anchors=$anchors/root/.docker/ca.pem$nl # where none is named
done

# A control plane without units: processes that are root's in every way, by the file that they run.
set +f
for folder in /proc/[0-9]*; do
	name=
	read -r name <"$folder/comm" || continue
	case $name in kube-apiserver | kube-controller | kube-scheduler | etcd) ;; *) continue ;; esac
	roots_process "${folder#/proc/}" || continue
	name=${exe##*/}
	case $name in
	kube-apiserver | kube-controller-manager | kube-scheduler | etcd) say control "$name" ;;
	esac
done 2>/dev/null
set -f
for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
	! roots_own "/etc/kubernetes/manifests/$name.yaml" || say control "$name"
done

### Texts: unit files with their drop-ins, and configurations that command lines name

hides='PRIVATE KEY|(token|pass|passwd|password|passphrase|secret[a-z0-9_-]*|api[-_]?key|access[-_]?key)[0-9_]*"?[=:] *[^ ]|key-data|authorization"?[=:] *"?(basic|bearer|token|digest)|bearer|staticPodURLHeader|(^|[[:space:]"'\'']|=)--?[a-z0-9_-]*(token|password|passwd|secret|credentials?|creds|pat|auth)[[:space:]]+[^-[:space:]]|-(creds|pat)=|-?-auth=[^ ]*:|(pwd|pw)=|(^|[[:space:]])-u[[:space:]]*[^- :][^ :]*:[^ ]|://[^/@ ]*:[^/@ ]*@'
# The values of keys in YAML or JSON; those on lines of their own comments are none.
values() { # values KEY|KEY…: from lines
	sed '/^[[:space:]]*#/d' | grep -oE "(^|[^A-Za-z0-9_-])($1)[\"']?:[[:space:]]*[\"']?[^\"' ,}]+" |
		head -n "$most_anchors" | sed "s/^[^:]*:[[:space:]]*[\"']\{0,1\}//"
}

texts=$(
	systemctl show -p FragmentPath,DropInPaths --value -- $units | tr ' ' '\n'
	printf %s "$configs"
)
count=0
for path in $(printf '%s\n' "$texts" | grep '^/' | sort -u); do
	count=$((count + 1))
	[ $count -le "$most_texts" ] || {
		say limit "more than $most_texts unit files and configurations"
		break
	}
	[ -e "$path" ] || continue
	owned=1 content=- digest=-
	if [ -L "$path" ]; then
		above "${path%/*}"
		[ $controlled = 1 ] && [ "$(stat -c %u -- "$path")" = 0 ] || owned=0
		real=$(readlink -f -- "$path")
	else
		real=$path
	fi
	mode=$(stat -c %a -- "$real") || continue
	if [ $owned = 0 ] || ! roots_own "$real"; then
		say limit "$path: others than root may write it, so it was not read"
		say text "$mode" 0 - - "$path"
		continue
	fi
	case $nl$configs in
	*"$nl$path$nl"*) anchors=$anchors$(values "$anchor_keys" <"$real" | grep '^/')$nl ;;
	esac
	if [ "$(stat -c %s -- "$real")" -gt "$most_text_size" ]; then
		say limit "$path: it is larger than 64 KiB"
	elif grep -qiE "$hides" -- "$real"; then
		:
	elif grep -qE '^[[:space:]]*(Environment|SetCredential[A-Za-z]*)[[:space:]]*=' -- "$real"; then
		# Lines of which any may be a secret stay; the others are sent, but are not the file.
		content=$(awk '
			!inside && /^[ \t]*(Environment|SetCredential[A-Za-z]*)[ \t]*=/ { inside = 1 }
			inside { inside = /\\$/; next }
			{ print }' "$real" | base64 -w 0)
	else
		digest=$(sha256sum <"$real" | cut -d ' ' -f 1)
		content=$(base64 -w 0 <"$real")
	fi
	[ "$real" = "$path" ] || owned=0
	say text "$mode" $owned "$digest" "$content" "$path"
done

### Anchors: what decides whom programs obey, such as CAs and the apiserver's address

# The certificates in a text and nothing else of it, with a prefix to each line.
certificates() { # certificates PREFIX: from lines
	awk -v prefix="$1" -v most="$most_blocks" -v lines_most="$most_block_lines" -v longest="$most_block_length" '
		/^-----BEGIN/ { inside = 0 }
		/^-----BEGIN CERTIFICATE-----$/ { blocks++; lines = 0; inside = blocks <= most }
		inside && ++lines <= lines_most && length($0) <= longest && /^[-A-Za-z0-9+\/= ]+$/ { print prefix $0 }
		/^-----END/ { inside = 0 }'
}

is_kubeconfig() { # from lines
	awk '/^"?clusters"?:|"clusters":/ { clusters = 1 } /"?users"?:/ { users = 1 } END { exit !(clusters && users) }'
}

named=
anchor() { # anchor PATH: who could have written it; its certificates where that is root alone
	[ -e "$1" ] || return 0
	above "$1"
	[ $controlled = 1 ] && [ -f "$1" ] || {
		say anchor $controlled 0 - "$1"
		return 0
	}
	text=$(timeout 5 head -c "$most_text_size" -- "$1" | tr -d '\0')
	[ "$(stat -L -c %s -- "$1")" -le "$most_text_size" ] || say limit "$1: what is in it after its first 64 KiB"
	pem=$text kind=
	if printf '%s\n' "$text" | is_kubeconfig; then
		kind=kubeconfig
		pem=$(for data in $(printf '%s\n' "$text" | values certificate-authority-data); do
			printf %s "$data" | base64 -d 2>/dev/null
			echo
		done)
	fi
	say anchor 1 "$(printf '%s\n' "$pem" | grep -c -e '-----BEGIN')" \
		"$(printf '%s\n' "$pem" | certificates '' | base64 -w 0)" "$1"
	[ "$kind" = kubeconfig ] || return 0
	for key in certificate-authority client-certificate client-key tokenFile command; do
		for value in $(printf '%s\n' "$text" | values $key); do
			case $value in
			/*) ;;
			*/*) value=${1%/*}/$value ;;
			*) [ $key != command ] && value=${1%/*}/$value || continue ;;
			esac
			[ ${#value} -le "$most_arg_length" ] || continue
			say anchor_names $key "$value"
			named=$named$value$nl
		done
	done
	! printf '%s\n' "$text" | values insecure-skip-tls-verify | grep -qixE 'true|yes|on|y' || say anchor_names insecure-skip-tls-verify true
	! printf '%s\n' "$text" | values server | grep -qi '^http:' || say anchor_names server http
}

count=0 told=$nl
for round in settings kubeconfigs; do
	[ $round = settings ] || anchors=$named
	for path in $(printf '%s\n' "$anchors" | grep '^/' | sort -u); do
		[ ${#path} -le "$most_arg_length" ] || continue
		case $told in *"$nl$path$nl"*) continue ;; esac
		told=$told$path$nl count=$((count + 1))
		[ $count -le "$most_anchors" ] || {
			say limit "more than $most_anchors files that settings name"
			break
		}
		anchor "$path"
	done
done

### Keys, certificates, kubeconfigs, tokens

# The public half of a key. ssh-keygen is there wherever sshd is and takes keys from a pipe; what it
# can't read openssl may. Neither prints anything of the private half.
public() {
	key=$(cat)
	half=
	# How long it takes to open one that is encrypted, its maker chooses: for nobody has its password.
	case $key in *'BEGIN ENCRYPTED'*) return ;; esac
	if has ssh-keygen; then
		half=$(printf '%s\n' "$key" | timeout 5 ssh-keygen -y -P '' -f /dev/stdin 2>/dev/null | cut -d ' ' -f 1,2)
	fi
	if [ -z "$half" ] && has openssl; then
		half=$(printf '%s\n' "$key" | timeout 5 openssl pkey -pubout -passin pass: 2>/dev/null | grep -v -e ----- | tr -d '\n')
		[ -z "$half" ] || half="spki $half"
	fi
	printf '%s' "$half" | head -c 2000
}

# Where others may write, they may exchange anything between a look and an opening. So there a file
# is opened within a folder that was entered first, never through a symlink at its name, and never
# waiting; a command that can't do that is not used there.
nofollow=0
! timeout 5 dd if=/dev/null iflag=nofollow,nonblock,fullblock count=0 2>/dev/null || nofollow=1
! grep -D skip -q x /dev/null 2>/dev/null
[ $? -ne 1 ] && skip= || skip='-D
skip'
can_drop=0
! timeout 5 setpriv --reuid=65534 --regid=65534 --clear-groups true 2>/dev/null || can_drop=1

take() ( # take PATH FOLDER: the file's first 64 KiB; FOLDER is where its folder really is
	cd -P -- "$2/" 2>/dev/null && [ "$(pwd -P)" = "$2" ] || exit 1
	name=./${1##*/}
	[ -f "$name" ] && [ ! -L "$name" ] || exit 1
	if [ $nofollow = 1 ]; then
		timeout 5 dd "if=$name" iflag=nofollow,nonblock,fullblock bs=65536 count=1 2>/dev/null
	elif [ "$trusted" = 1 ]; then
		timeout 5 head -c 65536 -- "$name"
	else
		exit 1
	fi | tr -d '\0'
)

holding='^-----BEGIN ([A-Z]+ )*(PRIVATE KEY|CERTIFICATE)-----|client-key-data|client-certificate-data|"?kind"?: *"?Config"?'
token_list='^[^,#]+,[^,]+,'

# Runs find below a folder, past what is never searched and names that lines can't tell.
seek() { # seek FOLDER/ ARGUMENT…; the command that runs it is in $with
	seek_at=$1
	shift
	$with find "$seek_at" -xdev -maxdepth 6 \
		\( -path '*/kubelet/pods' -o -path '*/kubelet/plugins' -o -name .ssh -o -name .cache \
		-o -name node_modules -o -name .git -o -path "$state" \
		-o -path "*$nl*" -o -path "*$tab*" -o -path '*\\*' \) -prune -o "$@" 2>/dev/null
}

# Whether a folder has names that lines can't tell, or that read as another name's bytes.
untold() { # untold FOLDER/; in $with the command that runs find
	[ -n "$($with find "$1" -xdev -maxdepth 6 \( -name .git -o -name .cache -o -name node_modules \
		-o -path '*/kubelet/pods' -o -path '*/kubelet/plugins' \) -prune -o \
		\( -name "*$nl*" -o -name "*$tab*" -o -name '*\\*' \) -print 2>/dev/null | head -c 1)" ]
}

in_time() { # in_time STATUS WHAT: whether a search ended by itself; if not, that is said
	case $1 in 124 | 137) say limit "$2: the time for it was up" ;; esac
}

holds_something() { # from stdin, NAME
	case $1 in
	*token*.csv | basic*auth*.csv) grep -qE "$holding|$token_list" ;;
	*) grep -qE "$holding" ;;
	esac
}

own= # files that are root's alone

# What is told of folders that others may write: bytes, of one folder and of all, and the time for it.
spent=0 spent_all=0 until=

in_bounds() { # in_bounds BYTES: whether there is room and time left for so much; root's are not counted
	[ "$trusted" = 0 ] || return 0
	spent=$((spent + $1)) spent_all=$((spent_all + $1))
	[ $spent -le "$most_others_bytes" ] && [ $spent_all -le "$most_all_others_bytes" ] && [ "$(date +%s)" -lt "$until" ]
}

tell() { # tell PATH SHOWN: all about one file; SHOWN is PATH below the root as it was given
	path=$1 shown=$2 folder=${1%/*}
	case $shown/ in
	*/kubelet/pods/* | */kubelet/plugins/* | */.ssh/* | */.cache/* | */node_modules/* | */.git/* | "$state"/*) return ;;
	esac
	[ "$folder" = "$last" ] || above "$folder"
	last=$folder trusted=$controlled
	entry=$(stat -c '%a %u' -- "$path") || return
	text=$(take "$path" "$folder")
	printf '%s\n' "$text" | holds_something "${path##*/}" || {
		say limit "$shown: it is not what it was a moment ago, or this host has no safe way to open it"
		return
	}
	in_bounds $((${#text} + 24 * ${#shown})) || {
		say limit "$shown: more than is read of folders that others may write, or the time for them was up"
		return
	}
	kind=pem
	case ${path##*/} in
	*token*.csv | basic*auth*.csv) ! printf '%s\n' "$text" | grep -qE "$token_list" || kind=csv ;;
	esac
	! printf '%s\n' "$text" | is_kubeconfig || kind=kubeconfig
	mode=${entry%% *} uid=${entry#* }
	say file "$mode" "$uid" "$reachable" "$controlled" "$kind" "$shown"
	[ "$uid" != 0 ] || [ $controlled = 0 ] || [ $((0$mode & 022)) -ne 0 ] || own=$own$shown$nl
	say blocks "$(printf '%s\n' "$text" | grep -c -e '-----BEGIN')" "$shown"
	keys=$(printf '%s\n' "$text" | grep -cE '^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----')
	[ "$keys" -le "$most_keys" ] || {
		keys=$most_keys
		say limit "$shown: keys beyond its first $most_keys"
	}
	number=0
	while [ $number -lt "$keys" ]; do
		number=$((number + 1))
		in_bounds 0 || {
			say limit "$shown: keys in it; the time for folders that others may write was up"
			break
		}
		say key "$(printf '%s\n' "$text" | awk -v want=$number '
			/^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/ { count++; on = count == want }
			on { print }
			/^-----END/ { on = 0 }' | public)" "$shown"
	done
	case $kind in
	csv) say token csv "$shown" ;;
	kubeconfig)
		# By words, not lines: it may be JSON.
		for data in $(printf '%s\n' "$text" | grep -oE 'client-certificate-data"?: *"?[A-Za-z0-9+/=]+' | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say certificate_data "$data" "$shown"
		done
		for data in $(printf '%s\n' "$text" | grep -oE 'client-key-data"?: *"?[A-Za-z0-9+/=]+' | head -n "$most_keys" | sed 's/.*[: "]//'); do
			say key "$(printf %s "$data" | base64 -d 2>/dev/null | public)" "$shown"
		done
		printf '%s\n' "$text" | grep -oE '(^|[ {,"])token"?: *"?[^ ",}]+' | head -n "$most_keys" | sed 's/.*[: "]//' |
			while read -r token; do
				case $token in
				eyJ*.*.*) say token jwt "$shown" ;;
				??????.????????????????) say token bootstrap "$shown" ;;
				*) say token static "$shown" ;;
				esac
			done
		! printf '%s\n' "$text" | grep -qE '(^|[ {,"])password"?: *"?[^ ",}]' || say token password "$shown"
		;;
	esac
	[ "$(printf '%s\n' "$text" | grep -c '^-----BEGIN CERTIFICATE-----$')" -le "$most_blocks" ] ||
		say limit "$shown: certificates beyond its first $most_blocks"
	printf '%s\n' "$text" | certificates "pem$tab"
}

tell_all() { # tell_all MOST WHAT: those in $found, at most so many
	found=$(printf '%s\n' "$found" | grep . | sort -u)
	[ -n "$found" ] || return
	[ "$(printf '%s\n' "$found" | wc -l)" -le "$1" ] || {
		say limit "$2: files beyond the first $1 that hold keys or certificates"
		found=$(printf '%s\n' "$found" | head -n "$1")
	}
	for one in $found; do
		case $one in "$real"/*) tell "$one" "$root${one#"$real"}" ;; esac
	done
}

# Root's places first, each with limits of its own; then folders in them that others may write, homes
# among them, each searched as its owner: nobody's flood hides what lies elsewhere.
last= later=
for root in $roots; do
	[ -d "$root" ] || [ -L "$root" ] || continue
	real=$(readlink -f -- "$root")
	[ -n "$real" ] && [ -d "$real" ] || continue
	if [ "$real" != "$root" ]; then
		above "$root"
		[ $controlled = 1 ] || {
			say limit "$root: there is a symlink on its way that others than root may change"
			continue
		}
	fi
	with="timeout${nl}-k${nl}2${nl}20"
	! untold "$real/" || say limit "$root: files below names with a line end, a tab or a backslash"
	open=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune)
	in_time $? "$root: its folders"
	count=0
	for folder in $open; do
		count=$((count + 1))
		[ $count -le 100 ] || {
			say limit "$root: folders of others beyond the first 100"
			break
		}
		later=$later$root$tab$real$tab${folder%/}$nl
	done
	found=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -128 -exec grep $skip -slE "$holding" {} +)
	in_time $? "$root"
	pems=$found
	# Static tokens of an apiserver: `token,user,uid,"groups"`.
	found=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -16 \( -name '*token*.csv' -o -name 'basic*auth*.csv' \) \
		-exec grep $skip -slE "$token_list" {} +)
	in_time $? "$root: lists of tokens"
	found=$pems$nl$found
	tell_all "$most_root_files" "$root"
done

as_owner() { # as_owner FOLDER ARGUMENT…: find within it, with its owner's rights alone
	as_in=$1
	shift
	(cd -P -- "$as_in/" 2>/dev/null && [ "$(pwd -P)" = "$as_in" ] && seek ./ "$@")
}

until=$(($(date +%s) + 120))
for entry in $later; do
	root=${entry%%"$tab"*} entry=${entry#*"$tab"}
	real=${entry%%"$tab"*} place=${entry#*"$tab"}
	spent=0
	[ "$(date +%s)" -lt "$until" ] || {
		say limit "$place: the time for folders that others may write was up"
		continue
	}
	[ $nofollow = 1 ] || {
		say limit "$place: others may write it, and this host's dd has no iflag=nofollow"
		continue
	}
	uid=$(stat -c %u -- "$place") gid=$(stat -c %g -- "$place") || continue
	[ "$uid" != 0 ] || uid=65534
	[ "$gid" != 0 ] || gid=65534
	listed=
	if [ $can_drop = 1 ]; then
		with="timeout${nl}-k${nl}2${nl}10${nl}setpriv${nl}--reuid=$uid${nl}--regid=$gid${nl}--clear-groups"
		listed=$(as_owner "$place" -type f -size -128 -exec grep $skip -slE "$holding" {} +)
		in_time $? "$place"
		listed=$listed$nl$(as_owner "$place" -type f -size -16 \
			\( -name '*token*.csv' -o -name 'basic*auth*.csv' \) -exec grep $skip -slE "$token_list" {} +)
		# What its owner can't read may be root's.
		with="timeout${nl}-k${nl}2${nl}10"
		rest=$(as_owner "$place" -type f -size -128 ! -user "$uid" -print)
	else
		with="timeout${nl}-k${nl}2${nl}10"
		rest=$(as_owner "$place" -type f -size -128 -print)
	fi
	in_time $? "$place"
	count=0
	for one in $rest; do
		case $nl$listed$nl in *"$nl$one$nl"*) continue ;; esac
		count=$((count + 1))
		[ $count -le 200 ] || {
			say limit "$place: files of others than its owner, beyond the first 200"
			break
		}
		one=$place${one#.}
		take "$one" "${one%/*}" | holds_something "${one##*/}" || continue
		listed=$listed$nl.${one#"$place"}
	done
	found=
	for one in $listed; do found=$found$place${one#.}$nl; done
	tell_all "$most_others_files" "$place"
done

# Who names files that are root's alone: units, cron, CNI, static pods, command lines of root's.
if [ -n "$own" ]; then
	existing= known=1
	for path in $users; do [ ! -e "$path" ] || existing=$existing$path$nl; done
	if [ -n "$existing" ]; then
		names=$(printf %s "$own" | timeout 20 grep $skip -rsoF -f - -- $existing)
		[ $? -le 1 ] || known=0
		names=$(printf '%s\n' "$names" | sort -u)
		[ "$(printf '%s\n' "$names" | wc -l)" -le "$most_users" ] || known=0
		printf '%s\n' "$names" | head -n "$most_users" | while IFS=: read -r user path; do
			[ -n "$path" ] && [ "$(stat -c %u -- "$user")" = 0 ] || continue
			say used "$user" "$path"
		done
	fi
	mine=$(stat -L -c %i /proc/self/ns/pid)
	set +f
	mine=$(stat -L -c '%i %n' /proc/[0-9]*/ns/pid 2>/dev/null | sed -n "s,^$mine \(.*\)/ns/pid\$,\1/status,p")
	set -f
	mine=$(grep -l "^Uid:${tab}0${tab}0${tab}" $mine /dev/null 2>/dev/null | sed 's,status$,cmdline,')
	words=$(cat $mine /dev/null 2>/dev/null | tr '\0' '\n')
	running=$(printf %s "$own" | {
		exec 3<&0 # as an argument they may be too long
		printf '%s\n' "$words" | timeout 20 grep -oF -f /dev/fd/3
	})
	[ $? -le 1 ] || known=0
	running=$(printf '%s\n' "$running" | grep . | sort -u)
	[ "$(printf '%s\n' "$running" | wc -l)" -le "$most_running" ] || known=0
	printf '%s\n' "$running" | grep . | head -n "$most_running" | while read -r path; do say used "a running program" "$path"; done
	[ $known = 1 ] || say users_unknown
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
