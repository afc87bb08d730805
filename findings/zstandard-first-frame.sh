#!/bin/sh
# python-zstandard 0.25.0: what `cat one.zst two.zst` holds.
#
# One would guess: all of it. The format is "one or more frames", the zstd command reads it so, and
#   Python's own gzip, bz2 and lzma modules read concatenated files to their end.
# What happens: decompress() and read_to_iter() end after the first frame as if there were nothing
#   more: no error, just less. copy_stream() of the same class reads everything, and so does what
#   stream_reader() returns, though its read_across_frames is False. What appends to a file, or
#   compresses its parts by themselves, writes several frames.
# Seen:
#   zstd -dc: b'one two '
#   decompress: b'one '   read_to_iter: b'one '   stream_reader, copy_stream: b'one two '
set -eu
command -v zstd >/dev/null || {
    echo "needs the Debian package zstd" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check zstandard==0.25.0
printf 'one ' | zstd -qc >"$work/both.zst"
printf 'two ' | zstd -qc >>"$work/both.zst"
[ "$(zstd -qdc "$work/both.zst")" = "one two " ]
"$work/venv/bin/python" - "$work/both.zst" <<'END'
import io
import pathlib
import sys

import zstandard

data = pathlib.Path(sys.argv[1]).read_bytes()
new = zstandard.ZstdDecompressor
out = io.BytesIO()
new().copy_stream(io.BytesIO(data), out)
seen = {
    "decompress": new().decompress(data, max_output_size=100),
    "stream_reader": new().stream_reader(io.BytesIO(data)).read(),
    "read_to_iter": b"".join(new().read_to_iter(io.BytesIO(data))),
    "copy_stream": out.getvalue(),
}
print(seen)
assert {seen["copy_stream"], seen["stream_reader"]} == {b"one two "}
assert {seen["decompress"], seen["read_to_iter"]} == {b"one "}
END
