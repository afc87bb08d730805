"""
Bodies of the tasks, a module per group: check options, call, print, set the exit code.

The work itself is in `deploy/` and the rooms below it; only surfaces call these.
"""

from typing import TYPE_CHECKING

from ...util.submodules import lazily

_MODULES = (
    "accounts",
    "audit",
    "binaries",
    "bundle",
    "certs",
    "configuration",
    "configuration_import",
    "deployment",
    "doctor",
    "first_configuration",
    "hosts",
    "inspection",
    "removal",
    "requests",
    "reset",
    "rotate_certs",
    "upgrade",
    "upkeep",
    "versions",
)

if TYPE_CHECKING:
    from . import accounts as accounts
    from . import audit as audit
    from . import binaries as binaries
    from . import bundle as bundle
    from . import certs as certs
    from . import configuration as configuration
    from . import configuration_import as configuration_import
    from . import deployment as deployment
    from . import doctor as doctor
    from . import first_configuration as first_configuration
    from . import hosts as hosts
    from . import inspection as inspection
    from . import removal as removal
    from . import requests as requests
    from . import reset as reset
    from . import rotate_certs as rotate_certs
    from . import upgrade as upgrade
    from . import upkeep as upkeep
    from . import versions as versions
else:  # type checkers would take any name at all for one of these
    __getattr__ = lazily(__name__, *_MODULES)
