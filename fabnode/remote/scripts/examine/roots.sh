# Folders of root that are searched for keys.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at line ends on purpose

# Root's first, each with limits of its own; then folders in them that others may write, homes among
# them (examine/others.sh): however many files somebody writes, they hide none of another folder.
judged= others_folders=
for root in $roots; do
	[ -d "$root" ] || [ -L "$root" ] || continue
	real=$(readlink -f -- "$root")
	[ -n "$real" ] && [ -d "$real" ] || continue
	if [ "$real" != "$root" ]; then
		judge_folder "$root"
		[ $controlled = 1 ] || {
			emit limit "$root: there is a symlink on its way that others than root may change"
			continue
		}
	fi
	find_prefix="timeout${nl}-k${nl}2${nl}20"
	! has_unprintable_names "$real/" || emit limit "$root: files below names with a line end, a tab or a backslash"
	open=$(find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune)
	report_timeout $? "$root: its folders"
	count=0
	for folder in $open; do
		count=$((count + 1))
		[ $count -le 100 ] || {
			emit limit "$root: folders of others beyond the first 100"
			break
		}
		others_folders=$others_folders$root$tab$real$tab${folder%/}$nl
	done
	found=$(find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -128 -exec grep $grep_skip -slE "$credential_pattern" {} +)
	report_timeout $? "$root"
	pem_files=$found
	# Static tokens of an apiserver: `token,user,uid,"groups"`.
	found=$(find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -16 \( -name '*token*.csv' -o -name 'basic*auth*.csv' \) \
		-exec grep $grep_skip -slE "$token_list_pattern" {} +)
	report_timeout $? "$root: lists of tokens"
	found=$pem_files$nl$found
	emit_files "$most_root_files" "$root"
done
