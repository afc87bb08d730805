# A reset that was cut off.
# shellcheck shell=sh disable=SC2154 # state: see apply/actions

end_reset() { # one that was cut off is over: the host is a node again
	rm -f -- "$state/resetting"
}
