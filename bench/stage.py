"""What every case gets to work with: rounds, lengths, a folder, the server, and somebody to tell."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import LocalServer

Side = Callable[[], float]


class BenchError(Exception):
    """A case could not be measured; the message says why."""


@dataclass
class Stage:
    """Where and how the cases are measured.

    Attributes:
        rounds: how often each side is measured.
        seconds: length of each measurement.
        folder: for databases; emptied at the end.
        server: PostgreSQL, or None.
        no_server: why there is none.
        say: told what is being done now.
        memory_seconds: length of the memory case.
    """

    rounds: int
    seconds: float
    folder: Path
    server: LocalServer | None
    no_server: str = ""
    memory_seconds: float = 600.0
    say: Callable[[str], None] = field(default=lambda _: None)
    _files: int = 0

    def new_file(self) -> Path:
        """Return the path of a database that is not there yet."""
        self._files += 1
        return self.folder / f"bench-{self._files}.db"

    def postgres(self) -> LocalServer:
        """Return the server.

        Raises:
            BenchError: there is none.
        """
        if self.server is None:
            raise BenchError(self.no_server or "PostgreSQL is not there")
        return self.server

    def alternate(self, case: str, sides: Mapping[str, Side], *, times: int = 1) -> dict[str, list[float]]:
        """Measure the sides in turn: A B, B A, A B … so that a drift of the machine favours none.

        Args:
            case: name of the case, to say what is being done.
            sides: what to measure, by name.
            times: for differences that are small beside the noise: that many times the rounds.
        """
        measured: dict[str, list[float]] = {name: [] for name in sides}
        rounds = times * self.rounds
        for number in range(rounds):
            names = list(sides) if number % 2 == 0 else list(sides)[::-1]
            for name in names:
                self.say(f"{case}: {name}, round {number + 1} of {rounds}")
                measured[name].append(sides[name]())
        return measured


def remove(path: Path) -> None:
    """Remove a database and what SQLite has put beside it."""
    for file in path.parent.glob(path.name + "*"):
        file.unlink()
