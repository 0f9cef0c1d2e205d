"""What a check found."""

from typing import Literal, NamedTuple

State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        name: what was looked at, in a word or two.
        state: `ok`, `warn` (a run works, but not as one may think) or `fail` (it does not work).
        detail: what was found, and what to do about it if it is not `ok`.
    """

    name: str
    state: State
    detail: str


def bytes_free(free: int, where: str) -> Finding:
    """Judge free disk space.

    Args:
        free: bytes that an ordinary user may still write.
        where: the folder they are in.
    """
    shown = f"{free / 2**30:.1f} GiB" if free >= 2**30 else f"{free / 2**20:.0f} MiB"
    if free < MIN_FREE:
        return Finding(
            "disk",
            "fail",
            f"{shown} free in {where}; free at least {MIN_FREE >> 20} MiB, or use another disk",
        )
    if free < LOW_FREE:
        return Finding("disk", "warn", f"{shown} free in {where}, which a long run can fill")
    return Finding("disk", "ok", f"{shown} free in {where}")


MIN_FREE = 64 * 2**20
LOW_FREE = 2**30
