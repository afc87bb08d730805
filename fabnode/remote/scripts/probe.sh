# shellcheck shell=sh
# shellcheck disable=SC2154 # named below as set before it
# shellcheck disable=SC2086 # lists are split at line ends on purpose, and nothing is globbed
# One look at a node, for fabnode. Runs as root under any POSIX shell (dash, busybox) with
# coreutils, awk and systemctl; what else it uses may be missing.
#
# What the shell can read itself is read so: of a hundred hosts on one machine, each program more
# costs a tenth of a second.
#
# It prints lines of `tag<TAB>field…`, the last field free to hold anything but a line end, and
# ends with `end<TAB>$nonce`. It changes nothing on the node but its own record of digests.
#
# Set before it, as quoted text: nonce, most_text_size (limits.py), deep (1: trust no recorded digest), state (fabnode's
# directory on the node), store (whose images: containerd, docker); and lists with one entry a line:
#   text, opaque, folders, certificates, servers, units, sysctls, modules, free, tools, ports (hexadecimal)

set -uf # nothing is globbed: entries are taken as they are
LC_ALL=C TZ=UTC0
export LC_ALL TZ
umask 077
tab=$(printf '\t') nl='
'
IFS=$nl

out=
say() { # say TAG FIELD…: one line more; all but the first are printed at once, at the end
	out=$out$1
	shift
	for field; do out=$out$tab$field; done
	out=$out$nl
}

add() { # add LINES: as they are
	[ -z "$1" ] || out=$out$1$nl
}

# Only regular files are read, here and below: reading a FIFO would not end.
first() { # first FILE: its first line into $line
	line=
	[ -f "$1" ] && [ -r "$1" ] && { read -r line <"$1" || [ -n "$line" ]; }
}

has() { command -v "$1" >/dev/null 2>&1; }

# First of all, so that the deployer can compare clocks.
clock=$(date +%s.%N)
printf 'clock\t%s\n' "${clock%.%N}" # busybox knows no nanoseconds

### The machine

# Read, not run: what it holds is text to us, whoever wrote it.
ID= VERSION_ID=
[ ! -f /etc/os-release ] || while read -r line || [ -n "$line" ]; do
	case $line in ID=* | VERSION_ID=*) ;; *) continue ;; esac
	value=${line#*=}
	value=${value#[\"\']} value=${value%[\"\']}
	case $line in ID=*) ID=$value ;; *) VERSION_ID=$value ;; esac
done </etc/os-release
[ -z "$ID$VERSION_ID" ] || say os "$ID" "$VERSION_ID"
first /proc/sys/kernel/hostname && say hostname "$line"
first /etc/machine-id && say machine_id "$line"
first /proc/sys/kernel/random/boot_id && say boot_id "$line"
first /proc/uptime && say uptime "${line%% *}"
first /proc/sys/kernel/osrelease
kernel=$line
say kernel "$kernel"
if first /proc/sys/kernel/arch; then say arch "$line"; else say arch "$(uname -m)"; fi # it came with 6.1
while IFS=' ' read -r name size _; do
	case $name in MemTotal: | SwapTotal:) say memory "$name" "$size" ;; SwapFree:) break ;; esac
done </proc/meminfo
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi

if has ip; then
	for line in $(ip -o addr show); do say address "$line"; done
fi

[ ! -f /etc/resolv.conf ] || while read -r line || [ -n "$line" ]; do say resolv "$line"; done </etc/resolv.conf
[ -e /run/systemd/resolve/resolv.conf ] && say resolved

# Who listens where, if on one of the ports at all (0A is LISTEN in proc_net_tcp.rst). Finding the
# names takes a walk over all processes: only where fabnode has not started anything yet, so that a
# port may be taken by somebody else.
set -- $ports
IFS='|'
some="$*"
IFS=$nl
if [ -n "$some" ] && has ss && grep -qsE ":($some) [0-9A-F]+:0000 0A" /proc/net/tcp /proc/net/tcp6; then
	names=-p
	[ ! -d "$state/stamps" ] || names=
	for line in $(ss -Hltn $names); do say listener "$line"; done
fi

for tool in $tools; do has "$tool" && say tool "$tool"; done
case $nl$modules$nl in *"${nl}nf_tables$nl"*) has nft && say nft "$(nft --version)" ;; esac

### Room: of the nearest directory that exists

near=
for path in $free; do
	while [ -n "$path" ] && [ ! -d "$path" ]; do path=${path%/*}; done
	near=$near${path:-/}$nl
done
set -- $free
[ -z "$near" ] || for size in $(stat -f -c '%a %S' -- $near); do
	say free "$size" "$1"
	shift
done

### The kernel: a feature counts when it is loaded, built in, or seen working

built_in() {
	case $1 in
	overlay)
		while read -r line; do case $line in *overlay) return ;; esac done </proc/filesystems
		false
		;;
	br_netfilter) [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] ;;
	nf_conntrack) [ -e /proc/sys/net/netfilter/nf_conntrack_max ] ;;
	ip_vs) [ -e /proc/net/ip_vs ] ;;
	*) false ;;
	esac && return
	builtin=/lib/modules/$kernel/modules.builtin
	[ -r "$builtin" ] && grep -q "/$(printf %s "$1" | sed 's/[-_]/[-_]/g')\.ko" "$builtin" && return
	option=$1 # or another, where it is not simply its name
	case $1 in
	overlay) option=overlay_fs ;;
	br_netfilter) option=bridge_netfilter ;;
	ipip) option=net_ipip ;;
	esac
	if [ -r /proc/config.gz ]; then
		gzip -dc /proc/config.gz
	else
		cat "/boot/config-$kernel"
	fi | grep -qi "^CONFIG_$option=y"
} 2>/dev/null

for module in $modules; do
	if [ -d "/sys/module/$module" ] || built_in "$module"; then
		say module "$module"
	elif ! modprobe -q -D "$module" >/dev/null 2>&1; then # what it would load
		say missing "$module"
	fi
done

for key in $sysctls; do
	# Dots and slashes trade places, as sysctl(8) has it.
	IFS=.
	set -- $key
	IFS=/
	file="/proc/sys/$*"
	IFS=$nl
	# Not by `read`: dash reads byte by byte, and of a number the kernel gives no second one.
	if [ -f "$file" ] && line=$(head -n 1 "$file" 2>/dev/null); then say sysctl "$key" "$line"; fi
done

### Paths: what they are, their digests, the text of some
#
# Hashing costs more than all else, so the record keeps `sha256|size|inode|mtime|ctime|path` of
# files as they were; only what looks different now is hashed again.

own=
# shellcheck disable=SC3067 # dash, bash and busybox know -O
[ -d "$state" ] && [ ! -h "$state" ] && [ -O "$state" ] && own=1 # nobody else's record is believed
record=$nl
[ "$deep" = 1 ] || [ -z "$own" ] || [ ! -f "$state/digests" ] || record="$nl$(cat "$state/digests")$nl"
kept= unknown= texts= links=
now=${clock%.*}

# Mode (hex), owner, group, ctime in seconds, then what the record holds.
for line in $(stat -c '%f|%u|%g|%Z|%s|%i|%y|%z|%n' -- $text $opaque $folders 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	path=${line##*|}
	say path "$1" "$2" "$3" "$5" "$path"
	case $1 in
	8???) ;; # regular files only
	a???)
		case $nl$folders$nl in *"$nl$path$nl"*) links=$links$path$nl ;; esac
		continue
		;;
	*) continue ;;
	esac
	like="$5|$6|$7|$8|$path"
	case $record in
	*"|$like$nl"*)
		before=${record%%"|$like$nl"*}
		say digest "${before##*"$nl"}" "$path"
		kept="$kept${before##*"$nl"}|$like$nl"
		;;
	*)
		unknown="$unknown$path$nl"
		# What changed just now may change again without its times telling.
		[ $((now - $4)) -gt 2 ] && kept="$kept?$path|$like$nl"
		;;
	esac
	case "$nl$text$nl" in
	*"$nl$path$nl"*)
		if [ "$5" -le "$most_text_size" ]; then
			say text "$5" "$path"
			texts=$texts$path$nl
		fi
		;;
	esac
done

if [ -n "$unknown" ]; then
	for line in $(sha256sum -- $unknown); do
		digest=${line%%  *} path=${line#*  }
		say digest "$digest" "$path"
		case $kept in *"?$path|"*) kept="${kept%%"?$path|"*}$digest|${kept#*"?$path|"}" ;; esac
	done
	if [ -n "$own" ] && [ "$nl$kept" != "$record" ]; then
		printf %s "$kept" >"$state/digests.$$" && mv -f "$state/digests.$$" "$state/digests"
	fi
fi 2>/dev/null

# Where a system folder is a symlink, whoever may write on the way there counts as well.
chain=
for link in $links; do
	real=$(readlink -f -- "$link") || continue
	while [ -n "$real" ]; do
		chain=$chain$real$nl
		real=${real%/*}
	done
done
[ -z "$chain" ] || for line in $(stat -c '%f|%u|%g|%s|%n' -- $chain 2>/dev/null); do
	IFS='|'
	set -- $line
	IFS=$nl
	say path "$1" "$2" "$3" "$4" "${line##*|}"
done

# One after the other, as their sizes say; their digests tell if one changed under our hands.
[ -z "$texts" ] || say texts "$(cat -- $texts 2>/dev/null | base64 -w 0)"

### Certificates, servers and their CAs: nothing else of these files leaves the node, for some hold keys

readable=
for path in $certificates $servers; do
	case $nl$readable in *"$nl$path$nl"*) continue ;; esac
	[ -f "$path" ] && [ -r "$path" ] && readable="$readable$path$nl"
done
[ -z "$readable" ] || add "$(awk '
	FNR == 1 || /-----BEGIN/ { inside = 0 }
	/^-----BEGIN CERTIFICATE-----$/ { inside = 1 }
	inside && /^[-A-Za-z0-9+\/= ]+$/ { print "certificate\t" $0 "\t" FILENAME }
	/-----END/ { inside = 0 }
	$1 == "client-certificate-data:" { print "certificate_data\t" $2 "\t" FILENAME }
	$1 == "server:" { print "server\t" $2 "\t" FILENAME }
	$1 == "certificate-authority:" { print "authority\t" $2 "\t" FILENAME }
	$1 == "certificate-authority-data:" { print "authority_data\t" $2 "\t" FILENAME }
' $readable)"

### Units, and what they had read when fabnode last started them

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

### Images

stored() { # the references in the runtime's store; fails where nobody answers
	if [ "$store" = docker ]; then
		has docker && timeout 5 docker image ls --format '{{.Repository}}:{{.Tag}}'
	else
		[ -S /run/containerd/containerd.sock ] && has ctr && timeout 5 ctr -n k8s.io images ls -q
	fi
}
if images=$(stored 2>/dev/null); then
	say images
	for image in $images; do say image "$image"; done
fi
[ -z "$own" ] || [ ! -f "$state/images" ] || while read -r line; do say archive "${line%% *}" "${line#* }"; done <"$state/images"

say end "$nonce"
printf %s "$out"
