"""Being told to stop: the first signal asks, the second demands."""

import asyncio
import signal
from contextlib import AsyncExitStack


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP asks for the end, the second demands it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.abort = asyncio.Event()
        self.reason = "duration"
        self.first = 0
        self.second = 0

    def install(self, stack: AsyncExitStack) -> None:
        """Take the signals until the stack is closed; a SIGHUP that `nohup` has turned off stays so."""
        loop = asyncio.get_running_loop()
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._caught, number)
            stack.callback(loop.remove_signal_handler, number)

    def _caught(self, number: int) -> None:
        if self.stop.is_set():
            self.second = number
            self.abort.set()
        else:
            self.reason = signal.Signals(number).name
            self.first = number
            self.stop.set()
