# Tools that are there.
# shellcheck shell=sh disable=SC2154,SC2086 # set before; lists are split at line ends on purpose

case $nl$modules$nl in *"${nl}nf_tables$nl"*) has nft && say nft "$(nft --version)" ;; esac
