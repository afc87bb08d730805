# Images in the runtime's store, and the archives that fabnode imported.
# shellcheck shell=sh disable=SC2046,SC2154 # output is split at newlines on purpose; set by other parts

# What others may have written is not run: what images there are is unknown then, and why is reported.
trusted=1
if [ "$store" != docker ] && [ -S "$containerd_socket" ] && has "$ctr" && ! is_roots_program "$ctr"; then
	trusted=
	emit untrusted "$ctr"
fi

list_images() { # the references in the runtime's store; fails if the runtime does not answer
	if [ "$store" = docker ]; then
		has docker && timeout 5 docker image ls --format '{{.Repository}}:{{.Tag}}'
	else
		[ -S "$containerd_socket" ] && [ -n "$trusted" ] && has "$ctr" && timeout 5 "$ctr" -n k8s.io images ls -q
	fi
}
if images=$(list_images); then
	emit images
	for image in $images; do emit image "$image"; done
	[ "$store" = docker ] || [ -z "$images" ] ||
		for image in $(timeout 5 "$ctr" -n k8s.io images ls -q 'labels."io.cri-containerd.pinned"==pinned'); do
			emit pinned "$image"
		done
fi 2>/dev/null
[ -z "$own_state" ] || [ ! -f "$state/images" ] || while read -r line; do emit archive "${line%% *}" "${line#* }"; done <"$state/images"
