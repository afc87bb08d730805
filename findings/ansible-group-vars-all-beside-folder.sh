#!/bin/sh
# ansible-core 2.19.14: `group_vars/all.yml` beside a folder `group_vars/all/`, as inventories have it that
# grew: kubespray's sample has the folder, most tutorials the file.
#
# One would guess: both are variables of the group `all`, and both are read; or two of one name are an error.
# What happens: the folder is looked for first, and where there is one, the file is not read: no variable
#   of it exists, without a warning, and the exit code is 0. A play that has defaults goes on
#   with those. The same holds for `all.yml` beside `all.yaml`, and for each group and each host.
# Seen:
#   only all.yml                            one
#   all.yml and an empty folder all/        (none)
#   all.yml and all.yaml                    one; what is in all.yaml alone: (none)
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.14
cd "$work"
mkdir group_vars
echo 'n1' >hosts
echo 'x: one' >group_vars/all.yml

listed() {
    HOME=$work LC_ALL=C.UTF-8 venv/bin/ansible-inventory -i hosts --host n1 2>err | tr -d ' \n'
    if grep -i warning err; then return 1; fi # the premise: nobody is told
}
alone=$(listed)
mkdir group_vars/all
beside_folder=$(listed)
rmdir group_vars/all
echo 'y: two' >group_vars/all.yaml
beside_yaml=$(listed)
echo "alone $alone, beside a folder $beside_folder, beside all.yaml $beside_yaml"
test "$alone" = '{"x":"one"}'
test "$beside_folder" = '{}'
test "$beside_yaml" = '{"x":"one"}'
echo "as seen: of two files of one group's variables one is passed over without a word"
