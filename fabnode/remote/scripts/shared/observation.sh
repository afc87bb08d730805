# Locale, file mode and lists of the programs that only observe a host.
# shellcheck shell=sh disable=SC2034,SC2154 # for the parts after it; nl: shared/base

LC_ALL=C TZ=UTC0
export LC_ALL TZ
umask 077
IFS=$nl
