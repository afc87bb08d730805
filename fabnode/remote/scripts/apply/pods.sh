# Pods: the kubelet's containers in containerd, ended and deleted.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

cri_endpoint=unix:///run/containerd/containerd.sock

list_cri() { # list_cri tasks|containers FILTER…: ids of the kubelet's, in containerd
	what=$1
	shift
	timeout 30 "$ctr" -n k8s.io "$what" ls -q "$@"
}

# Somebody may run containers of their own in the namespace of the kubelet's (`nerdctl -n k8s.io`). CRI
# gives each of a pod's this label; what has none is never ended, nor deleted.
of_pods='labels."io.cri-containerd.kind"'
of_others='labels."io.cri-containerd.kind"!=sandbox,labels."io.cri-containerd.kind"!=container'

is_among() { # is_among WORD WORD…
	word=$1
	shift
	[ -n "$word" ] || return
	case " $* " in *" $word "*) ;; *) return 1 ;; esac
}

# What ends sandboxes kills (containerd: internal/cri/server/sandbox_stop.go). Containers that a drain
# would have had end are asked to before that; whatever does not, ends with its sandbox.
stop_containers() { # stop_containers CTR SECONDS NAMESPACE/POD…
	ctr=$1 turns=$(($2 * 2))
	shift 2
	require_roots_program "$ctr" || return
	signalled=
	for pod; do
		of_pod='labels."io.cri-containerd.kind"==container,labels."io.kubernetes.pod.namespace"=="'${pod%/*}'"'
		of_pod=$of_pod',labels."io.kubernetes.pod.name"=="'${pod#*/}'"'
		for container in $(list_cri containers "$of_pod"); do
			! timeout 20 "$ctr" -n k8s.io tasks kill "$container" 2>/dev/null || signalled="$signalled $container"
		done
	done
	while [ -n "$signalled" ] && [ $turns -gt 0 ] && any_runs; do
		turns=$((turns - 1))
		sleep 0.5
	done
	:
}

any_runs() { # does any container of $signalled?
	timeout 20 "$ctr" -n k8s.io tasks ls | awk -v signalled="$signalled " '
		$NF == "RUNNING" && index(signalled, " " $1 " ") { found = 1 }
		END { exit !found }'
}

# By CRI first: that way the network's plugin gives the pods' addresses back. Where it fails it would
# fail for each pod, and take its time: the rest is ended by containerd alone.
remove_sandboxes() { # remove_sandboxes CTR CRICTL|- NETNS…: all of the kubelet's, and their containers
	ctr=$1 crictl=$2
	shift 2
	require_roots_program "$ctr" || return
	[ "$crictl" = - ] || [ ! -e "$crictl" ] || require_roots_program "$crictl" || return
	sandboxes=$(list_cri containers 'labels."io.cri-containerd.kind"==sandbox') || return
	if [ "$crictl" != - ] && [ -x "$crictl" ]; then
		for sandbox in $sandboxes; do
			timeout 60 "$crictl" -r "$cri_endpoint" -t 60s stopp "$sandbox" >/dev/null || break
			timeout 60 "$crictl" -r "$cri_endpoint" -t 60s rmp "$sandbox" >/dev/null || break
		done
	fi
	containers=$(list_cri containers "$of_pods") && tasks=$(list_cri tasks) || return
	# shellcheck disable=SC2086 # a list
	for task in $tasks; do
		is_among "$task" $containers || continue
		timeout 30 "$ctr" -n k8s.io tasks kill -a -s SIGKILL "$task"
		timeout 30 "$ctr" -n k8s.io tasks delete -f "$task" >/dev/null
	done
	for container in $containers; do
		timeout 30 "$ctr" -n k8s.io containers delete "$container"
	done
	# In this order: whoever's task comes meanwhile had its container before.
	tasks=$(list_cri tasks) && others=$(list_cri containers "$of_others") || return
	left=
	# shellcheck disable=SC2086 # a list
	for task in $tasks; do is_among "$task" $others || left="$left $task"; done
	left=${left# }
	[ -z "$left" ] || {
		echo "containers that do not end: $left"
		return 1
	}
	for netns; do
		timeout 20 umount -- "$netns" 2>/dev/null
		rm -f -- "$netns" || return # which fails while it is mounted
	done
	# shellcheck disable=SC2086 # a list
	end_shims "${ctr%/*}/containerd-shim-runc-v2" $others
}

# Containers have ended by now, but not always what started them: a shim may stay, with nothing below
# it, of which a containerd that starts later knows nothing. Docker's are of another namespace.
end_shims() ( # end_shims PROGRAM ID…: those of the kubelet's pods; not of these containers, which are others'
	set +f
	shim=$1
	shift
	own_mounts=$(readlink -- /proc/self/ns/mnt)
	for process in /proc/[0-9]*; do
		case $(readlink -- "$process/exe") in "$shim" | "$shim (deleted)") ;; *) continue ;; esac
		[ "$(readlink -- "$process/ns/mnt")" = "$own_mounts" ] || continue
		words=" $(tr '\0' ' ' <"$process/cmdline")"
		case $words in *' -namespace k8s.io '*) ;; *) continue ;; esac
		id=${words##* -id }
		is_among "${id%% *}" "$@" || kill "${process##*/}"
	done 2>/dev/null
	:
)

# By CRI their networks go with them; where that is not to be had they would stay, one more each time.
list_networks() { # list_networks CTR: of the kubelet's pods, as containerd knows them
	ctr=$1
	require_roots_program "$ctr" || return
	sandboxes=$(list_cri containers 'labels."io.cri-containerd.kind"==sandbox') || return
	for sandbox in $sandboxes; do
		timeout 20 "$ctr" -n k8s.io containers info "$sandbox"
	done | awk 'match($0, "\"path\": \"/(var/)?run/netns/cni-[0-9a-f-]+\"") { print substr($0, RSTART + 9, RLENGTH - 10) }'
}

# Where containerd does not run, none of them was started since it stopped.
end_pods() { # end_pods CTR CRICTL: as a reset ends them
	! systemctl -q is-active containerd.service || {
		networks=$(list_networks "$1") || {
			echo "$networks"
			return 1
		}
		# shellcheck disable=SC2086 # paths without blanks
		remove_sandboxes "$@" $networks
	}
}
