# The end of the answer.
# shellcheck shell=sh disable=SC2154 # set before, or by parts before it

say end "$nonce"
printf %s "$out"
