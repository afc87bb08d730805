"""
What `fab` finds here: the tasks for single hosts, which are `fabnode.host_tasks`.

One module and no package: of a module, Fabric puts the folder on the path, and `fabnode` is there.
"""

import sys

sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)  # as in tasks.py

from fabnode.host_tasks import ns  # noqa: E402 - after that

__all__ = ["ns"]
