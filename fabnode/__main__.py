"""The command `fabnode`: the tasks of `fabnode.tasks`, in whatever folder it is called."""

from invoke.program import Program

from . import __version__
from .util import program


def main() -> None:
    """Run the tasks that the command line names."""
    program.started_as("fabnode")
    from .tasks import ns

    Program(name="fabnode", binary="fabnode", version=__version__, namespace=ns).run()


if __name__ == "__main__":
    main()
