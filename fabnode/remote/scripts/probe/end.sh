# The end of the probe.
# shellcheck shell=sh disable=SC2154 # set before it, see probe/records, or by other parts

emit end "$nonce"
printf %s "$records"
