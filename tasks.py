"""What `inv` finds here: the tasks of `fabnode.tasks`, and those of the lab."""

from invoke.collection import Collection

from fabnode import tasks
from lab import tasks as lab_tasks

ns = Collection.from_module(tasks)
ns.add_collection(lab_tasks.ns, "lab")
