"""The command line: options to a run, progress, tables, plans, reports, errors to exit codes."""

from typing import TYPE_CHECKING

from ..util.submodules import lazily

if TYPE_CHECKING:
    from . import app as app
    from . import commands as commands
    from . import report as report
else:  # type checkers would take any name at all for one of these
    __getattr__ = lazily(__name__, "app", "commands", "report")
