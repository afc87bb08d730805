"""The command `fabnode`: the tasks of `fabnode.tasks`, in whatever folder it is called."""

from invoke.program import Program

from .util import program
from .util.about import VERSION


def main() -> None:
    """Run the tasks that the command line names."""
    program.started_as("fabnode")
    from .tasks import ns

    Program(name="fabnode", binary="fabnode", version=VERSION, namespace=ns).run()


if __name__ == "__main__":
    main()
