"""The command `fabnode`: the tasks of `fabnode.tasks`, in whatever folder it is called."""

import re
import sys

from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from .util import program
from .util.about import VERSION
from .util.problems import nearest

_UNKNOWN = re.compile(r"No idea what '(.+)' is!")  # invoke/parser/parser.py


class _Program(Program):
    """Invoke's program, which also suggests a task where one is misspelled."""

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            unknown = _UNKNOWN.match(str(error))
            hint = nearest(unknown[1], list(self.collection.task_names)) if unknown else ""
            if not hint:
                raise
            raise ParseError(f"{error} {hint}", error.context) from error


def _program() -> _Program:
    from .tasks import ns

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
