"""The command `fabnode`: the tasks of `fabnode.tasks`, in whatever folder it is called."""

import re
import sys

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from .util import program
from .util.about import VERSION
from .util.errors import InputError
from .util.problems import nearest

_FIRST = "init"  # what one types first; `config.init` as well
_UNKNOWN = re.compile(r"No idea what '(.+)' is!")  # invoke/parser/parser.py


class _Program(Program):
    """Invoke's program; what it can't parse is bad input (exit 2), a misspelled task has a hint."""

    def parse_core(self, argv: list[str] | None) -> None:
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise Exit(str(error), InputError.exit_code) from error

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            unknown = _UNKNOWN.match(str(error))
            hint = nearest(unknown[1], list(self.collection.task_names)) if unknown else ""
            raise Exit(f"{error} {hint}".rstrip(), InputError.exit_code) from error


def _program() -> _Program:
    from .tasks import config_init, ns

    ns.add_task(config_init, _FIRST)
    # Its name, however Python was told to run it, is what shells are to complete words for.
    names = ["fabnode"]
    return _Program(
        name="fabnode", binary="fabnode", binary_names=names, version=VERSION, namespace=ns
    )


def main() -> None:
    """Run the tasks that the command line names."""
    program.started_as("fabnode")
    from .cli.exits import standard_streams

    try:
        # Around Invoke's own output as well: its list of tasks, its help.
        with standard_streams():
            _program().run()
    except Exit as end:
        if end.message:
            sys.stderr.write(f"{end.message}\n")
        sys.exit(end.code)


if __name__ == "__main__":
    main()
