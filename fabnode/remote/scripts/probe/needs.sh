# Programs that fabnode needs on a host and that are not there.
# shellcheck shell=sh disable=SC2086,SC2154 # lists are split at newlines on purpose; set by other parts

for tool in $needed; do has "$tool" || emit lacks "$tool"; done
# Without these nothing below would be the truth: a certificate that can't be read is none.
for tool in $needed_here; do
	has "$tool" || {
		emit end "$nonce"
		printf %s "$records"
		exit
	}
done
