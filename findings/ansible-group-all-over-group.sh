#!/bin/sh
# ansible-core 2.19.14: a variable of one group in the inventory's own file, and of all hosts in group_vars/all.yml.
#
# One would guess: a group's own value takes precedence over that of `all`, wherever each is written, as it does
#   where both stand in the inventory's file, and where both stand in group_vars.
# What happens: the place counts before the group. What a file in group_vars says of all hosts takes precedence
#   over what the inventory's file says of a group, so that moving `[all:vars]` into group_vars/all.yml, or a
#   default into it, silently undoes each `[group:vars]`. The documentation lists it ("inventory
#   group_vars/all" above "inventory file or script group vars"); `ansible-inventory --list` shows the result,
#   and nothing says that there were two values.
# Seen, for a host of [batch] with max_pods=60 under [batch:vars] and max_pods 110 for all:
#   both in the inventory's file              60
#   both in group_vars                        60
#   all's in group_vars, the group's in file  110
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ansible-core==2.19.14
cd "$work"
mkdir in-file in-group-vars mixed in-group-vars/group_vars mixed/group_vars
group='[batch]\nn1\n'
of_group='[batch:vars]\nmax_pods=60\n'
printf '%b' "$group$of_group" '[all:vars]\nmax_pods=110\n' >in-file/hosts
printf '%b' "$group" >in-group-vars/hosts
printf '%b' "$group$of_group" >mixed/hosts
echo 'max_pods: 60' >in-group-vars/group_vars/batch.yml
echo 'max_pods: 110' | tee in-group-vars/group_vars/all.yml >mixed/group_vars/all.yml

listed() {
    HOME=$work LC_ALL=C.UTF-8 venv/bin/ansible-inventory -i "$1/hosts" --host n1 2>/dev/null | tr -dc 0-9
}
echo "in the file $(listed in-file), in group_vars $(listed in-group-vars), mixed $(listed mixed)"
test "$(listed in-file)" = 60
test "$(listed in-group-vars)" = 60
test "$(listed mixed)" = 110
echo "as seen: group_vars/all takes precedence over a group's variables in the inventory's file"
