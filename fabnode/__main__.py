"""The command `fabnode`: the tasks of `fabnode.tasks`, in whatever folder it is called."""

import re

from invoke.exceptions import ParseError
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


def main() -> None:
    """Run the tasks that the command line names."""
    program.started_as("fabnode")
    from .tasks import ns

    _Program(name="fabnode", binary="fabnode", version=VERSION, namespace=ns).run()


if __name__ == "__main__":
    main()
