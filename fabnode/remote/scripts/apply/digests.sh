# Digests of what came: by openssl where it is, for images are hundreds of MB.
# Measured: Debian 12's sha256sum does 160 MB/s, openssl 850.
# shellcheck shell=sh

empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 # the sha256 of nothing

sum_sha256() { sha256sum; } # from standard input; the digest, a space, and more
case $(openssl dgst -sha256 -r </dev/null 2>&1) in
"$empty "*) sum_sha256() { openssl dgst -sha256 -r; } ;; # it is there, and works
esac
