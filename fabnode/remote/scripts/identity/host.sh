# Who a host is, to whoever may log in: lines of a key and a value. Needs no right and changes nothing.
# shellcheck shell=sh

export LC_ALL=C

each_line_as() { # each_line_as KEY: of what comes in
	sed "s/^/$1 /"
}

uname -m | each_line_as machine
uname -n | each_line_as name
if command -v ip >/dev/null 2>&1; then
	ip -o addr show scope global 2>/dev/null | each_line_as address
	for family in 4 6; do
		ip -o -$family route show default 2>/dev/null | each_line_as default
	done
fi
true # a host without ip is no failure
