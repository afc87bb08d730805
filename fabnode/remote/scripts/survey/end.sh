# The end of the survey.
# shellcheck shell=sh disable=SC2154 # nonce: see survey/records

emit end "$nonce"
