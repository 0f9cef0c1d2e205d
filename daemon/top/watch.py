"""Looking at a running soakd again and again, or once."""

from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live

from daemon.clock import Clock
from daemon.errors import TargetError
from daemon.top.keys import Keys
from daemon.top.picture import Pictures
from daemon.top.scrape import Scrape, parse
from daemon.top.trend import Trend
from daemon.top.view import trouble, view

Fetch = Callable[[], str]


class Watcher:
    """Asks for /metrics and draws what has changed. Memory: a few scrapes, and a minute of rates."""

    def __init__(self, fetch: Fetch, *, url: str, clock: Clock, console: Console) -> None:
        """Prepare; nothing is asked.

        Args:
            fetch: returns the page; raises TargetError when there is none.
            url: where it comes from, to be shown.
            clock: monotonic time.
            console: where to draw.
        """
        self._fetch = fetch
        self._url = url
        self._clock = clock
        self._console = console
        self._pictures = Pictures()
        self._trend = Trend()

    def look(self) -> RenderableType:
        """Ask, and return the picture.

        Raises:
            TargetError: there is no answer, or it is not soakd's.
        """
        scrape = self._scrape()
        picture = self._pictures.add(scrape)
        self._trend.add(scrape.at, picture)
        return view(picture, self._trend, url=self._url, width=self._console.width)

    def _scrape(self) -> Scrape:
        text = self._fetch()
        try:
            return parse(text, self._clock.now())
        except ValueError as error:
            why = " ".join(str(error).split())
            raise TargetError(f"{self._url}: {why}; is it soakd that listens there?") from None

    def once(self, interval: float, keys: Keys) -> None:
        """Print one picture, of two looks with `interval` s between them.

        Raises:
            TargetError: there is no answer, or it is not soakd's.
        """
        self.look()
        keys.quits(interval)
        self._console.print(self.look())

    def watch(self, interval: float, keys: Keys) -> None:
        """Draw a picture every `interval` s until q is pressed; without an answer say so and go on."""
        shown: RenderableType | None = None
        with Live(console=self._console, screen=True, auto_refresh=False) as live, keys:
            due = self._clock.now()
            while True:
                try:
                    shown = self.look()
                    live.update(shown, refresh=True)
                except TargetError as error:
                    live.update(trouble(f"{error}; trying again", shown), refresh=True)
                now = self._clock.now()
                due = max(due + interval, now + interval / 2)  # a busy machine is to get a pause
                if keys.quits(due - now):
                    return
