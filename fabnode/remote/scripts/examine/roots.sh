# Folders of root that are searched for keys.
# shellcheck shell=sh disable=SC2034,SC2086,SC2154 # parts share variables; lists are split at newlines on purpose

# Root's first, each with limits of its own; then folders in them that others may write, homes among
# them (examine/others.sh): however many files somebody writes, they hide none of another folder.
judged= others_folders=
for root in $roots; do
	[ -d "$root" ] || [ -L "$root" ] || continue
	real=$(quiet readlink -f -- "$root")
	[ -n "$real" ] && [ -d "$real" ] || continue
	if [ "$real" != "$root" ]; then
		judge_folder "$root"
		[ $controlled = 1 ] || {
			emit limit "$root: there is a symlink on its way that others than root may change"
			continue
		}
	fi
	find_prefix="timeout${nl}-k${nl}2${nl}20"
	search '' find_unprintable_name "$real/"
	case $found in
	/dev/null) ;;
	'') emit limit "$root: whether names in it have a line end, a tab or a backslash" ;;
	*) emit limit "$root: files below names with a line end, a tab or a backslash" ;;
	esac
	search "$root: its folders" find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -print -prune
	count=0
	for folder in $found; do
		[ "$folder" != /dev/null ] || continue
		count=$((count + 1))
		[ $count -le 100 ] || {
			emit limit "$root: folders of others beyond the first 100"
			break
		}
		others_folders=$others_folders$root$tab$real$tab${folder%/}$nl
	done
	search "$root" find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -128 -exec grep $grep_skip -lE "$credential_pattern" {} +
	pem_files=$found
	# Static tokens of an apiserver: `token,user,uid,"groups"`.
	search "$root: lists of tokens" find_below "$real/" -type d \( ! -user 0 -o -perm -020 -o -perm -002 \) -prune -o \
		-type f -size -16 \( -name '*token*.csv' -o -name 'basic*auth*.csv' \) \
		-exec grep $grep_skip -lE "$token_list_pattern" {} +
	found=$pem_files$nl$found
	emit_files "$most_root_files" "$root"
done
