# Images in the runtime's store, and what fabnode loaded.
# shellcheck shell=sh disable=SC2154 # set before, or by parts before it

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
