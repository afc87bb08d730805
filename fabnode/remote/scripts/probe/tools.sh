# Tools that are installed.
# shellcheck shell=sh disable=SC2154 # set before it, see probe/records, or by other parts

for tool in $tools; do has "$tool" && emit tool "$tool"; done
case $nl$modules$nl in *"${nl}nf_tables$nl"*) has nft && emit nft "$(nft --version)" ;; esac
