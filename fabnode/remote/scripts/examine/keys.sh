# Public halves of keys.
# shellcheck shell=sh disable=SC2154 # set before it, see examine/units, or by other parts

check_ended() { # check_ended STATUS: sets $late where the command did not come to its own end, or to none
	case $1 in 0 | 1 | 255) ;; *) late=1 ;; esac
}

# ssh-keygen is there wherever sshd is and takes keys from a pipe; what it can't read openssl may.
# Neither prints anything of the private half.
print_public_key() { # of the private key on standard input; 1 where the time for it was up
	key=$(cat)
	half= late=0
	# Whoever encrypted one has chosen how long it takes to open it: nobody has its password.
	case $key in *'BEGIN ENCRYPTED'*) return ;; esac
	if has ssh-keygen; then
		# Its comment comes after that, with whatever newlines are in it.
		half=$(printf '%s\n' "$key" | judged timeout 5 ssh-keygen -y -P '' -f /dev/stdin)
		check_ended $?
		half=$(printf '%s\n' "$half" | sed -n 1p | cut -d ' ' -f 1,2)
	fi
	if [ -z "$half" ] && has openssl; then
		half=$(printf '%s\n' "$key" | judged timeout 5 openssl pkey -pubout -passin pass:)
		check_ended $?
		half=$(printf '%s\n' "$half" | grep -v -e ----- | tr -d '\n')
		[ -z "$half" ] || half="spki $half"
	fi
	printf '%s' "$half" | head -c 2000
	# Whoever keeps the host busy must not have a key judged by its name alone without a word.
	[ -n "$half" ] || [ $late = 0 ]
}
