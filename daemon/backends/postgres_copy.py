"""Rows as PostgreSQL's binary COPY format.

The work is done column by column with functions that run in C, since per-row Python would cost
more than the server needs for the row.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import repeat
from struct import Struct
from struct import error as struct_error

from daemon.backends.base import POSTGRES
from daemon.errors import OpError
from daemon.ops import Table, Values

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no header extension
_TRAILER = b"\xff\xff"
_JSONB_VERSION = 1
# Letters for length word and value; bytes of the value.
_FIXED = {"int": ("ii", 4), "bigint": ("iq", 8), "serial": ("iq", 8)}


@cache
def encoder_of(table: Table) -> "RowEncoder":
    """Return the encoder of a table; a workload has a few."""
    return RowEncoder(table)


class RowEncoder:
    """Encodes rows of one table.

    A row becomes alternating pieces: a *head* (whatever has a fixed length up to and including the
    length word of the next text) and the text itself.

    Attributes:
        command: the COPY, to follow a BEGIN in the same request.
    """

    def __init__(self, table: Table) -> None:
        names = ", ".join(name for name, _ in table.columns)
        self.command = f"; COPY {POSTGRES.table(table.name)} ({names}) FROM STDIN (FORMAT BINARY)".encode()
        kinds = [kind for _, kind in table.columns]
        self._heads: list[_Head] = []
        form, fixed = "!h", []
        constant: list[int] = [len(kinds)]
        for column, kind in enumerate(kinds):
            if kind in _FIXED:
                letters, size = _FIXED[kind]
                form += letters
                fixed.append((size, column))
                continue
            is_json = kind == "json"
            self._heads.append(
                _Head(form + ("iB" if is_json else "i"), constant, fixed, column, is_json=is_json)
            )
            form, fixed, constant = "!", [], []
        if fixed or constant:
            self._heads.append(_Head(form, constant, fixed, None, is_json=False))

    def encode(self, rows: Sequence[Values]) -> bytes:
        """Return a whole COPY stream.

        Raises:
            OpError: `constraint`: a value does not fit its column's type.
        """
        columns = tuple(zip(*rows, strict=True))
        pieces: list[Iterable[bytes]] = []
        try:
            for head in self._heads:
                pieces.extend(head.pieces(columns))
            stride = len(pieces)
            out = [_SIGNATURE] * (stride * len(rows) + 2)
            for offset, piece in enumerate(pieces, start=1):
                out[offset:-1:stride] = piece
        except (struct_error, TypeError, ValueError, AttributeError) as error:
            raise OpError("constraint", f"a value does not fit its column: {error}") from error
        out[-1] = _TRAILER
        return b"".join(out)


class _Head:
    """The fixed-length part of a row up to a text column, or up to the row's end."""

    def __init__(
        self,
        form: str,
        constant: list[int],
        fixed: list[tuple[int, int]],
        text: int | None,
        *,
        is_json: bool,
    ) -> None:
        self._pack: Callable[..., bytes] = Struct(form).pack
        self._constant = constant
        self._fixed = fixed
        self._text = text
        self._is_json = is_json

    def pieces(self, columns: Sequence[Sequence[object]]) -> list[Iterable[bytes]]:
        """Return this head, and its text if it has one, for every row."""
        rows = len(columns[0])
        arguments: list[Iterable[object]] = [repeat(value, rows) for value in self._constant]
        for size, column in self._fixed:
            arguments += (repeat(size), columns[column])
        if self._text is None:
            return [list(map(self._pack, *arguments))]
        texts = list(map(str.encode, columns[self._text]))  # type: ignore[arg-type]
        if self._is_json:
            arguments += ([len(text) + 1 for text in texts], repeat(_JSONB_VERSION))
        else:
            arguments.append(map(len, texts))
        return [list(map(self._pack, *arguments)), texts]
