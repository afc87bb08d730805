"""What `inv` finds here: the tasks of `fabnode.tasks`, and those of the lab."""

import sys

from invoke.collection import Collection

# Invoke has Python keep nothing that it compiles (--write-pyc): each command in a clone would
# compile all that it needs once more. The setting of the user's Python holds.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

import fabnode.tasks  # noqa: E402 - after that
from lab import tasks as lab_tasks  # noqa: E402

ns = Collection.from_module(fabnode.tasks)
ns.add_collection(lab_tasks.ns, "lab")
