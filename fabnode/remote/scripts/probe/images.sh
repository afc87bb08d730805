# Images in the runtime's store, and the archives that fabnode imported.
# shellcheck shell=sh disable=SC2154 # set before it, see probe/records, or by other parts

list_images() { # the references in the runtime's store; fails if the runtime does not answer
	if [ "$store" = docker ]; then
		has docker && timeout 5 docker image ls --format '{{.Repository}}:{{.Tag}}'
	else
		[ -S /run/containerd/containerd.sock ] && has "$ctr" && timeout 5 "$ctr" -n k8s.io images ls -q
	fi
}
if images=$(list_images 2>/dev/null); then
	emit images
	for image in $images; do emit image "$image"; done
fi
[ -z "$own_state" ] || [ ! -f "$state/images" ] || while read -r line; do emit archive "${line%% *}" "${line#* }"; done <"$state/images"
