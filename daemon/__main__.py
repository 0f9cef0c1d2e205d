"""Entry of the command `soakd` and of `python -m daemon`."""

import sys
from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    Args:
        arguments: the command line without the program's name; None takes the process's.
    """
    try:
        # Imported here, and next to nothing above, so that an interrupt meanwhile is no traceback.
        from daemon.cli.command import command  # noqa: PLC0415

        return command(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
