# A unit's journal: its last lines, and before these what it died of.
# shellcheck shell=sh

# A panic of Go's is followed by a stack, which may have more lines than are shown. It counts where
# the process that ended last wrote it. fabnode/node/unit_words.py quotes it by the same rule.
read_journal() { # read_journal UNIT
	journalctl --no-pager -q -o cat -n 2000 -u "$1" | cut -c 1-400 | unit=$1 awk '
		{ line[NR] = $0 }
		/^(panic|fatal error): / || /^F[0-9][0-9][0-9][0-9] / || / level=(fatal|panic) / { fatal = NR; ends = 0 }
		index($0, ENVIRON["unit"] ": Main process exited") == 1 { ends++ }
		END {
			first = NR > 20 ? NR - 19 : 1
			if (fatal && fatal < first && ends < 2) print line[fatal]
			for (number = first; number <= NR; number++) print line[number]
		}'
}
