# Options, separators and helpers of all programs.
# shellcheck shell=sh disable=SC2034 # for the parts after it

set -uf # nothing is globbed: entries are taken as they are
tab=$(printf '\t')
nl='
'

has() { command -v "$1" >/dev/null 2>&1; }
