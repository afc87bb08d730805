# Pods on the host, as containerd has them; and whether others use that containerd as well.
# shellcheck shell=sh disable=SC2154 # set before it, see survey/records

# What a reset would run, and others may have written, is named and not run.
trusted=1
[ ! -S "$socket" ] || for program in "$ctr" "$crictl"; do
	[ ! -e "$program" ] || is_roots_program "$program" || {
		trusted=
		emit untrusted "$program"
	}
done
others= # containers that are no pod's, as containerd has them: NAMESPACE/ID
if [ -S "$socket" ] && [ -n "$trusted" ] && has "$ctr" && namespaces=$(timeout 10 "$ctr" namespaces ls -q 2>/dev/null); then
	emit runtime
	for namespace in $namespaces; do
		# Where that is not known, others' containers may be there.
		containers=$(timeout 20 "$ctr" -n "$namespace" containers ls -q) &&
			images=$(timeout 20 "$ctr" -n "$namespace" images ls -q) || {
			emit cut sandbox
			continue
		}
		emit namespace "$namespace" "$(printf '%s\n' "$containers" | grep -c .)" "$(printf '%s\n' "$images" | grep -c .)"
		case $namespace in
		k8s.io | moby) ;; # pods may be among them, docker's as well
		*) for id in $containers; do others="$others $namespace/$id"; done ;;
		esac
	done
	# In the kubelet's namespace as well: CRI labels what is a pod's (internal/cri/labels).
	of_others='labels."io.cri-containerd.kind"!=sandbox,labels."io.cri-containerd.kind"!=container'
	ids=$(timeout 20 "$ctr" -n k8s.io containers ls -q "$of_others") || emit cut sandbox
	for id in $ids; do
		emit others_container "$id"
		others="$others k8s.io/$id"
	done
	count=0
	ids=$(timeout 20 "$ctr" -n k8s.io containers ls -q 'labels."io.cri-containerd.kind"==sandbox') || emit cut sandbox
	for id in $ids; do
		count=$((count + 1))
		[ $count -le "$most_sandboxes" ] || {
			emit cut sandbox
			break
		}
		# Of labels, each has a line; kubelets add theirs to what the pod's owner wrote.
		timeout 20 "$ctr" -n k8s.io containers info "$id" | awk -v id="$id" '
			function text() { sub(/^[^:]*: "/, ""); sub(/",?$/, ""); return $0 }
			/^ *"io.kubernetes.pod.namespace": "/ { namespace = text() }
			/^ *"io.kubernetes.pod.name": "/ { name = text() }
			/^ *"pod-template-generation": "/ { daemon = 1 }
			/^ *"path": "\/(var\/)?run\/netns\/cni-/ { netns = text() }
			END { print "sandbox\t" id "\t" daemon "\t" netns "\t" namespace "\t" name }'
	done
fi
# Where containerd does not answer, its pods may run all the same. In a mount namespace of their own a
# user, or a pod, runs whatever they like by that path; in the host's, root's own is another matter.
# What holds a container that is known to be no pod's holds up nothing.
shims=0
own_mounts=$(readlink -- /proc/self/ns/mnt)
set +f
# shellcheck disable=SC2012 # no names, but what the links lead to, by one program
for pid in $(ls -ld /proc/[0-9]*/exe 2>/dev/null | awk -v shim="$shim" '
	match($0, "/proc/[0-9]+/exe -> ") {
		target = substr($0, RSTART + RLENGTH)
		if (target == shim || target == shim " (deleted)") { split(substr($0, RSTART), parts, "/"); print parts[3] }
	}'); do
	[ "$(readlink -- "/proc/$pid/ns/mnt")" = "$own_mounts" ] || continue
	user=$(awk '/^Uid:/ { print $3; exit }' "/proc/$pid/status")
	[ "$user" = "$(id -u)" ] || continue
	words=" $(tr '\0' ' ' <"/proc/$pid/cmdline")"
	id=${words##* -id } namespace=${words##* -namespace }
	case "$others " in *" ${namespace%% *}/${id%% *} "*) continue ;; esac
	shims=$((shims + 1))
done 2>/dev/null
emit shims "$shims"
# Whatever runtime started them, processes of pods are in cgroups of the kubelet's.
processes=0
for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
	for name in kubepods kubepods.slice; do
		[ -d "$root/$name" ] || continue
		emit cgroup "$root/$name"
		lists=$(find "$root/$name" -name cgroup.procs) || emit cut processes
		# shellcheck disable=SC2086 # names of cgroups, which have no blanks
		processes=$((processes + $(cat /dev/null $lists 2>/dev/null | grep -c .)))
	done
done
emit processes "$processes"
set -f
