# The plain form of `quiet`, for programs without shared/started.
# shellcheck shell=sh

quiet() { "$@" 2>/dev/null; } # quiet PROGRAM ARGUMENT…
