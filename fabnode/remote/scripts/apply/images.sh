# Images: archives imported into the runtime's store, and the record of them.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

ctr=ctr                      # which the actions set to its path
pin=io.cri-containerd.pinned # the label by which kubelets leave an image alone

judged_ctr= # the one that is root's alone

judge_ctr() { # once
	[ "$judged_ctr" = "$ctr" ] || { require_roots_program "$ctr" && judged_ctr=$ctr; }
}

import_image() { # import_image STORE MEMBER SHA256 REFERENCE…
	wait_member "$2" || return
	store=$1 member=$2
	shift 2
	verify_member "$member" "$1" "the archive of $(shift && echo "$*")" && prepare_import "$store" || return
	rm -f broken
	{ unpack_member "$member" "$nice" || : >broken; } | { load_archive "$store" && cat >/dev/null; } || return
	[ ! -e broken ] || {
		drop_images "$store" "$@" >/dev/null 2>&1
		echo "the archive of $(shift && echo "$*") does not unpack to its end"
		return 1
	}
	rm -f "$member" && record_images "$store" "$@"
}

drop_images() { # drop_images STORE SHA256 REFERENCE…: else they would count as imported
	case $1 in docker) shift 2 && docker rmi "$@" ;; *) shift 2 && "$ctr" -n k8s.io images rm "$@" ;; esac
}

import_options= # of `ctr images import`, once they are known

prepare_import() { # prepare_import STORE
	[ "$1" = containerd ] && [ -z "$import_options" ] || return 0
	judge_ctr || return
	# Measured: half of the work was unpacking what no pod on this node may ever use (the runtime
	# does it when a container needs it), and much of the rest containerd's transfer service, which
	# `ctr` of containerd 2 and late 1.7 can do without.
	import_options=--no-unpack
	if "$ctr" images import --help | grep -q -e --local; then import_options="--no-unpack --local"; fi
}

# It takes a processor for seconds, which a kubelet that starts meanwhile, and pods, need more.
nice='nice'
has nice || nice=

load_archive() { # load_archive STORE: from standard input
	# shellcheck disable=SC2086 # options
	case $1 in
	docker) docker load -q ;;
	*) $nice "$ctr" -n k8s.io images import $import_options - ;;
	esac
}

record_images() { # record_images STORE SHA256 REFERENCE…: those that an archive is to bring
	store=$1 archive=$2
	shift 2
	for reference in "$@"; do
		keep_image "$store" "$reference" >why 2>&1 || {
			if is_stored "$store" "$reference"; then cat why; else echo "the archive does not bring $reference"; fi
			return 1
		}
		grep -sv " $reference\$" "$state/images" >"$state/images.new"
		echo "$archive $reference" >>"$state/images.new" && mv -f "$state/images.new" "$state/images" || return
		note_written "$state/images"
	done
}

keep_image() { # keep_image STORE REFERENCE: from collection, where the store can; fails where it has no such name
	case $1 in
	docker) is_stored "$@" ;;
	*) pin_images "$2" ;;
	esac
}

is_stored() { # is_stored STORE REFERENCE
	case $1 in
	docker) docker image inspect -f '{{.Id}}' "$2" ;; # which knows docker.io/… by its short name
	*) "$ctr" -n k8s.io images ls -q | grep -qxF "$2" ;;
	esac
}

# `ctr images import --label` came with containerd 2.
pin_images() { # pin_images REFERENCE…: of containerd's
	judge_ctr || return
	for reference in "$@"; do
		"$ctr" -n k8s.io images label "$reference" "$pin=pinned" >/dev/null || return
	done
}

unpin_image() { # unpin_image REFERENCE
	judge_ctr && "$ctr" -n k8s.io images label "$1" "$pin=" >/dev/null
}
