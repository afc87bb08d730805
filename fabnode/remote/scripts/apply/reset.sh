# Reset: what a node left on its host is taken away, each thing by its exact name.
#
# Nothing is deleted through a mount or a link: folders are emptied only when nothing is mounted in
# them, which is looked up right before; packet filters are never flushed.
# shellcheck shell=sh disable=SC2034,SC2154 # parts share variables; state: see apply/actions

stateless=
at_exit="$at_exit remove_own_folder"

begin_reset() { # begin_reset TEXT: who has begun it, and when; the first one's until all is done
	[ -e "$state/resetting" ] || printf '%s\n' "$1" >"$state/resetting"
}

stop_service() { # stop_service UNIT: now, and at boot
	timeout 120 systemctl stop -- "$1" || return
	systemctl disable -q -- "$1" || return # with its reload: else systemd goes on calling it enabled
	systemctl reset-failed -- "$1" 2>/dev/null
	read_unit "$1"
	case $ActiveState in inactive | failed) ;; *)
		echo "$1 is still $ActiveState"
		return 1
		;;
	esac
}

# --- mounts and folders ------------------------------------------------------------------------

remove_cgroup() ( # remove_cgroup FOLDER: with those below it; a cgroup with processes stays, and is an error
	set +f
	for below in "$1"/*/; do
		[ ! -d "$below" ] || remove_cgroup "${below%/}" || exit
	done
	[ ! -d "$1" ] || rmdir -- "$1"
)

list_mounts() { # list_mounts FOLDER…: what is mounted below them, what was mounted last first
	# In mountinfo, blanks and such are octal.
	printf '%s\n' "$@" | awk '
		NR == FNR { folder[NR] = $0 "/"; next }
		{
			place = $5
			gsub(/\\040/, " ", place)
			gsub(/\\011/, "\t", place)
			gsub(/\\043/, "#", place)
			gsub(/\\134/, "\\", place)
			for (i in folder) if (index(place, folder[i]) == 1) { found[++count] = place; break }
		}
		END { for (i = count; i > 0; i--) print found[i] }' - /proc/self/mountinfo
}

unmount_below() { # unmount_below FOLDER…: all of it, or it fails and names what stays
	turns=0
	while mounted=$(list_mounts "$@") && [ -n "$mounted" ] && [ $turns -lt 5 ]; do
		turns=$((turns + 1))
		printf '%s\n' "$mounted" | while IFS= read -r place; do
			timeout 20 umount -- "$place" 2>/dev/null
		done
	done
	[ -z "$mounted" ] || {
		printf '%s\n' "$mounted" | head -n 5 | while IFS= read -r place; do
			echo "$place can't be unmounted: $(timeout 20 umount -- "$place" 2>&1 | tail -n 1)"
		done
		return 1
	}
}

is_mounted() { # is_mounted FOLDER: is something mounted in this very place?
	list_mounts "${1%/*}" | grep -qxF -e "$1"
}

find_real() { # find_real FOLDER: into $real, without links on the way to it; it is none itself
	[ ! -h "$1" ] || {
		echo "$1 is a symlink, which is not followed"
		return 1
	}
	real=$(cd -P -- "${1%/*}/" && pwd -P) && real=${real%/}/${1##*/}
}

remove_tree() { # remove_tree FOLDER keep|-: with all that is in it; or only that
	find_real "$1" || return
	[ -d "$real" ] || return 0
	mounted=$(list_mounts "$real")
	[ -z "$mounted" ] || {
		echo "nothing below $1 is deleted: something is mounted at $(printf '%s\n' "$mounted" | tail -n 1)"
		return 1
	}
	one= # busybox has no such option; nothing is mounted there in any case
	rm --help 2>&1 | grep -q -e --one-file-system && one=--one-file-system
	if [ "$2" = keep ] || is_mounted "$real"; then
		empty_folder "$real" "$one"
		return
	fi
	# shellcheck disable=SC2086 # it may be empty
	rm -rf $one -- "$real" && [ ! -e "$real" ]
}

empty_folder() ( # empty_folder FOLDER OPTION: all that is in it
	set +f
	for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
		# shellcheck disable=SC2086 # it may be empty
		{ [ ! -e "$entry" ] && [ ! -h "$entry" ]; } || rm -rf $2 -- "$entry" || exit
	done
)

remove_folder() { # remove_folder FOLDER: if it is empty
	[ -h "$1" ] || [ ! -d "$1" ] || rmdir -- "$1" 2>/dev/null || :
}

restore_mode() { # restore_mode FOLDER MODE UID:GID: those of before the first change
	find_real "$1" || return
	[ ! -d "$real" ] || { chown -- "$3" "$real" && chmod -- "$2" "$real"; }
}

restore_before() { # restore_before PATH: the file that was there before the first change
	(umask 022 && mkdir -p "${1%/*}") || return
	if [ "$state/before$1" -ef "$1" ]; then # it was never replaced
		rm -f -- "$state/before$1"
	else
		mv -fT -- "$state/before$1" "$1"
	fi
}

enable_again() { # enable_again UNIT: of somebody else's file, which is there again
	systemctl enable -q -- "$1"
}

# The record of the host as it was goes last: without it, and with the others still there, a reset that
# goes on after this one was cut off would take files that were put back for fabnode's.
remove_state() { # all of fabnode's own but the quarantine, which holds others' files; the rest at the end
	rm -f -- "$state/written" "$state/digests" "$state/images" "$state/images.new" || return
	rm -rf -- "$state/stamps" "$state/hooks" "$state/before" "$state/kept" "$state/kept.new" || return
	rm -f -- "$state/resetting" "$state/baseline" || return
	stateless=1
}

remove_own_folder() { # at the end of a reset
	[ -z "$stateless" ] || rmdir -- "$state" 2>/dev/null || :
}

# --- network -----------------------------------------------------------------------------------

delete_interface() { # delete_interface NAME KIND: only if it is of that kind
	[ -e "/sys/class/net/$1" ] || return 0
	ip -o -d link show dev "$1" | grep -q -w -e "$2" || {
		echo "$1 is no interface of the kind $2"
		return 1
	}
	ip link delete dev "$1"
}

delete_route() { # delete_route FAMILY WORD…: as `ip route show` printed it
	family=$1
	shift
	ip "-$family" route delete "$@"
}

delete_address() { # delete_address ADDRESS INTERFACE
	ip address delete "$1" dev "$2"
}

delete_rules() { # delete_rules MEMBER PROGRAM: jumps, then what they led to, as one change of each table
	wait_member "$1" && "$2-restore" -w 10 --noflush <"$1"
}

delete_table() { # delete_table FAMILY NAME
	nft delete table "$1" "$2"
}

destroy_set() { # destroy_set NAME
	ipset destroy "$1"
}
