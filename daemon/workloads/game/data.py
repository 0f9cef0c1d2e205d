"""The data of the workload `game`: as many games as players, in a state that its operations keep.

What several tables have to agree on is a function of the seed and of numbers alone, so that each
table can be made by itself, in chunks and in any order.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple
from zlib import crc32

from daemon.ops import Values
from daemon.workloads.data import Data, Fill
from daemon.workloads.game import tables
from daemon.workloads.keys import uniform

REGIONS = ("africa", "americas", "asia", "europe", "oceania")
MODES = ("arena", "campaign", "duel", "race")
MAPS = ("canyon", "castle", "glacier", "harbour", "jungle", "station")
VERSIONS = 20
DEVICES = ("console", "desktop", "phone", "tablet")
LANGUAGES = ("ar", "de", "en", "es", "fr", "hi", "ja", "pt", "zh")
KINDS = ("capture", "chat", "defeat", "goal", "move", "pickup")
UNDONE = "undone"
"""What an event, and the state of its game, is called by a transaction that is rolled back on purpose."""
SESSIONS_EACH = 2  # of every second player: see docs/adr/0032
TOP_SCORE = 500
EPOCH = 1_700_000_000_000_000  # µs since the Unix epoch: when all this began
STEP = 1000  # µs between two things that happen
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def clans(players: int, clan_size: int) -> int:
    """Return how many clans there are; the last one takes what is left over."""
    return max(1, players // clan_size)


def place(player: int, players: int, clan_size: int) -> tuple[int, str]:
    """Return clan, from 1, and region of a player, from 0."""
    return min(player // clan_size + 1, clans(players, clan_size)), REGIONS[player % len(REGIONS)]


def payload(points: int, note: str) -> str:
    """Return the payload of an event."""
    return f'{{"points":{points},"note":"{note}"}}'


def client(rng: Random) -> str:
    """Return what is known of a session's client."""
    device, version = DEVICES[uniform(len(DEVICES), rng)], uniform(VERSIONS, rng)
    return f'{{"device":"{device}","version":"1.{version}"}}'


class _World(NamedTuple):
    """All rows. Players and games are numbered from 0 here, and from 1 in the tables.

    The members of a game are the players from its own number on, around the circle.
    """

    players: int
    seed: int
    seats: int
    events: int
    clan_size: int
    payload_size: int

    def draw(self, number: int, what: str, below: int) -> int:
        """Return a number of 0 … below − 1, always the same for the same arguments."""
        return crc32(f"{self.seed}/{what}/{number}".encode()) % below

    def score(self, game: int, seat: int) -> int:
        return self.draw(game * self.seats + seat, "score", TOP_SCORE + 1)

    def member(self, game: int, seat: int) -> int:
        return (game + seat) % self.players

    def player_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [self._player(n) for n in numbers]

    def _player(self, n: int) -> Values:
        clan, region = place(n, self.players, self.clan_size)
        rating, language = (
            800 + self.draw(n, "rating", 1600),
            LANGUAGES[self.draw(n, "language", len(LANGUAGES))],
        )
        profile = (
            f'{{"clan":{clan},"region":"{region}","rating":{rating},'
            f'"settings":{{"language":"{language}","volume":{self.draw(n, "volume", 11)}}}}}'
        )
        score = sum(self.score((n - seat) % self.players, seat) for seat in range(self.seats))
        return n + 1, f"player-{n + 1}", profile, 0 if n % 2 else SESSIONS_EACH, self.seats, score, EPOCH

    def game_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [self._game(n) for n in numbers]

    def _game(self, n: int) -> Values:
        mode, where = MODES[self.draw(n, "mode", len(MODES))], MAPS[self.draw(n, "map", len(MAPS))]
        state = (
            f'{{"mode":"{mode}","map":"{where}","last":"{self._kind(n * self.events + self.events - 1)}"}}'
        )
        score = sum(self.score(n, seat) for seat in range(self.seats))
        return n + 1, state, self.seats, score, self.events, self.events, EPOCH

    def session_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        """Return the sessions of every second player."""
        return [
            (n // SESSIONS_EACH * 2 + 1, f"data-{n % SESSIONS_EACH}", client(rng), EPOCH + n * STEP)
            for n in numbers
        ]

    def membership_rows(self, numbers: range, _: Random) -> Sequence[Values]:
        return [
            (game + 1, self.member(game, seat) + 1, self.score(game, seat), EPOCH + game * STEP)
            for game, seat in (divmod(n, self.seats) for n in numbers)
        ]

    def event_rows(self, numbers: range, rng: Random) -> Sequence[Values]:
        note = "".join(rng.choices(LETTERS, k=self.payload_size))
        return [
            (
                n // self.events + 1,
                n % self.events + 1,
                self.member(n // self.events, n % self.seats) + 1,
                self._kind(n),
                payload(int(rng.random() * 100), note),
                EPOCH + n * STEP,
            )
            for n in numbers
        ]

    def _kind(self, event: int) -> str:
        return KINDS[event * 7 // 3 % len(KINDS)]


def fills(scale: int, seed: int, shape: Mapping[str, Any]) -> Sequence[Fill]:
    """Return the rows of `scale` players and as many games.

    Args:
        scale: players, more than a game has.
        seed: what all is drawn with.
        shape: `players_per_game`, `events_per_game`, `clan_size` and `payload_size`.
    """
    seats, events = shape["players_per_game"], shape["events_per_game"]
    world = _World(scale, seed, seats, events, shape["clan_size"], shape["payload_size"])
    online = (scale + 1) // 2
    return (
        Fill(tables.PLAYERS, scale, world.player_rows),
        Fill(tables.GAMES, scale, world.game_rows),
        Fill(tables.SESSIONS, online * SESSIONS_EACH, world.session_rows),
        Fill(tables.GAME_PLAYERS, scale * seats, world.membership_rows),
        Fill(tables.GAME_EVENTS, scale * events, world.event_rows),
    )


DATA = Data(
    "players",
    least=10,
    default=1000,
    unit_bytes=10_000,
    shape=("players_per_game", "events_per_game", "clan_size", "payload_size"),
    fills=fills,
)
