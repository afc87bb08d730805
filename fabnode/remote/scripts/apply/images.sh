# Images: archives imported into the runtime's store, and the record of them.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

ctr=ctr                      # which the actions set to its path
pin=io.cri-containerd.pinned # the label by which kubelets leave an image alone

import_image() { # import_image STORE MEMBER SHA256 REFERENCE…
	wait_member "$2" || return
	store=$1 member=$2
	shift 2
	# Unpacked twice: no store gets what is not verified, and no disk gets it a second time.
	found=$(unpack_member "$member" | sha256sum)
	[ "${found%% *}" = "$1" ] || {
		shift
		echo "the sha256 of the archive of $* is ${found%% *}, which is not what was promised"
		return 1
	}
	unpack_member "$member" | import_archive "$store" "$@" && rm -f "$member"
}

download_image() { # download_image STORE URL SIZE SHA256 REFERENCE…: the same, but the host fetches the archive
	download "$2" "$3" "$4" archive || return
	store=$1
	shift 3
	import_archive "$store" "$@" <archive && rm -f archive
}

import_archive() { # import_archive STORE SHA256 REFERENCE…: from standard input
	store=$1 archive=$2
	shift 2
	load_archive "$store" || return
	for reference in "$@"; do
		is_stored "$store" "$reference" || {
			echo "the archive does not bring $reference"
			return 1
		}
		[ "$store" = docker ] || pin_images "$reference" || return
		grep -sv " $reference\$" "$state/images" >"$state/images.new"
		echo "$archive $reference" >>"$state/images.new" && mv -f "$state/images.new" "$state/images" || return
	done
}

load_archive() { # load_archive STORE: from standard input
	# shellcheck disable=SC2046 # options
	case $1 in
	docker) docker load -q ;;
	*) "$ctr" -n k8s.io images import $(list_import_options) - ;;
	esac
}

# `ctr images import --label` came with containerd 2.
pin_images() { # pin_images REFERENCE…: of containerd's
	for reference in "$@"; do
		"$ctr" -n k8s.io images label "$reference" "$pin=pinned" >/dev/null || return
	done
}

unpin_image() { # unpin_image REFERENCE
	"$ctr" -n k8s.io images label "$1" "$pin=" >/dev/null
}

list_import_options() { # those of `ctr images import`
	# Measured: half of the work was unpacking what no pod on this node may ever use (the runtime
	# does it when a container needs it), and much of the rest containerd's transfer service, which
	# `ctr` of containerd 2 and late 1.7 can do without.
	echo "--no-unpack"
	if "$ctr" images import --help | grep -q -e --local; then echo "--local"; fi
}

is_stored() { # is_stored STORE REFERENCE
	case $1 in
	docker) docker image inspect -f '{{.Id}}' "$2" ;; # which knows docker.io/… by its short name
	*) "$ctr" -n k8s.io images ls -q | grep -qxF "$2" ;;
	esac
}
