"""What `inv` finds here: the tasks of `fabnode.tasks`, and those of the lab."""

from invoke.collection import Collection

import fabnode.tasks
from lab import tasks as lab_tasks

ns = Collection.from_module(fabnode.tasks)
ns.add_collection(lab_tasks.ns, "lab")
