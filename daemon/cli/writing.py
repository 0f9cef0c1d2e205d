"""Writing what a command has made: to standard output, or to a file in full or not at all."""

import sys
from pathlib import Path

from daemon.errors import UsageError


def write_text(text: str, output: Path | None) -> None:
    """Write the text.

    Args:
        text: what to write; it ends with a line end.
        output: where to; None: standard output.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None or str(output) == "-":
        sys.stdout.write(text)
        return
    partial = output.with_name(f".{output.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(output)
    except OSError as error:
        raise UsageError(f"{output}: cannot be written ({error.strerror}); name another file") from None
