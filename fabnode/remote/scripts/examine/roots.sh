# Root's places that are searched for keys.
# shellcheck shell=sh disable=SC2034,SC2154,SC2086 # parts share variables; lists are split at line ends on purpose

# Root's places first, each with limits of its own; then folders in them that others may write, homes
# among them, each searched as its owner: nobody's flood hides what lies elsewhere.
last= later=
for root in $roots; do
	[ -d "$root" ] || [ -L "$root" ] || continue
	real=$(readlink -f -- "$root")
	[ -n "$real" ] && [ -d "$real" ] || continue
	if [ "$real" != "$root" ]; then
		above "$root"
		[ $controlled = 1 ] || {
			say limit "$root: there is a symlink on its way that others than root may change"
			continue
		}
	fi
	with="timeout${nl}-k${nl}2${nl}20"
	! untold "$real/" || say limit "$root: files below names with a line end, a tab or a backslash"
	open=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune)
	in_time $? "$root: its folders"
	count=0
	for folder in $open; do
		count=$((count + 1))
		[ $count -le 100 ] || {
			say limit "$root: folders of others beyond the first 100"
			break
		}
		later=$later$root$tab$real$tab${folder%/}$nl
	done
	found=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -128 -exec grep $skip -slE "$holding" {} +)
	in_time $? "$root"
	pems=$found
	# Static tokens of an apiserver: `token,user,uid,"groups"`.
	found=$(seek "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -16 \( -name '*token*.csv' -o -name 'basic*auth*.csv' \) \
		-exec grep $skip -slE "$token_list" {} +)
	in_time $? "$root: lists of tokens"
	found=$pems$nl$found
	tell_all "$most_root_files" "$root"
done
