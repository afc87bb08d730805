"""
What `fab` finds here: the tasks for single hosts, which are `fabnode.host_tasks`.

One module and no package: of a module, Fabric puts the folder on the path, and `fabnode` is there.
"""

from fabnode.host_tasks import ns

__all__ = ["ns"]
