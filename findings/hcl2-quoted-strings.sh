#!/bin/sh
# python-hcl2 8.1.4: nodes in Terraform's own files, read by Python.
#
# One would guess: `hcl2.load` gives what `terraform output -json` or a JSON variant of the file would: strings
#   without the quotation marks that delimit them, names of blocks and keys likewise, and no keys that are not
#   in the file.
# What happens: each string comes with its quotation marks as a part of it, and so do keys in quotes and labels
#   of blocks; a block has `__is_block__` among its arguments. An address from it is no address, and a lookup by
#   name fails. With `SerializationOptions(strip_string_quotes=True, explicit_blocks=False)` both go; what is an
#   expression and what a string then look alike: `1 + 2` is the text `${1 + 2}` in either.
# Seen, by default: {'n1': '"10.0.0.11"'}, labels: ['"nodes"'], arguments: ['__is_block__', 'value']
# Seen, with both options: {'n1': '10.0.0.11'}, labels: ['nodes'], arguments: ['value'], sum: '${1 + 2}'
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install python-hcl2==8.1.4
cat >"$work/nodes.tf" <<'END_OF_FILE'
locals {
  addresses = { n1 = "10.0.0.11" }
  sum       = 1 + 2
}
output "nodes" {
  value = local.addresses
}
END_OF_FILE
"$work/venv/bin/python" - "$work/nodes.tf" <<'END_OF_FILE'
import sys

import hcl2


def seen(options=None):
    with open(sys.argv[1]) as file:
        found = hcl2.load(file, serialization_options=options)
    (values,), (output,) = found["locals"], found["output"]
    (arguments,) = output.values()
    return values["addresses"], list(output), sorted(arguments), values["sum"]


as_it_is = seen()
options = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False)
stripped = seen(options)
print("by default: {}, labels: {}, arguments: {}, sum: {!r}".format(*as_it_is))
print("with both options: {}, labels: {}, arguments: {}, sum: {!r}".format(*stripped))
expected = {"n1": '"10.0.0.11"'}, ['"nodes"'], ["__is_block__", "value"], "${1 + 2}"
if as_it_is != expected or stripped != ({"n1": "10.0.0.11"}, ["nodes"], ["value"], "${1 + 2}"):
    sys.exit("it is no more as it was seen")
END_OF_FILE
