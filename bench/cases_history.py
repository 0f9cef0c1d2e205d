"""The case of the history: what keeping one costs the load, and how big it gets."""

import time

from bench import soakd
from bench.figures import Figure, Goal, losses
from bench.stage import Stage, remove
from daemon.history.file import open_to_write
from daemon.history.scribe import Scribe
from tests.past import Past, beginning, week

TIMES = 2  # times the usual rounds: what is looked for is small beside the noise
SECONDS = 60  # of a run that are written to time one
RATE = 5000  # operations per second of each pool in them


def history(stage: Stage, case: str, cost: Goal, size: Goal) -> list[Figure]:
    """Rows with a history and without; the processor time of a second of it; the size of a week."""
    options = ("--writers", "50", "--readers", "5", *soakd.FULL_SPEED)

    def side(*flags: str) -> float:
        file = stage.new_file()
        summary = soakd.run(f"sqlite:///{file}", stage.seconds, *options, *flags)
        remove(file)
        return soakd.rows_per_second(summary)

    def kept() -> float:
        file = stage.new_file()
        rate = side("--history", str(file))
        remove(file)
        return rate

    sides = stage.alternate(
        case, {"rows/s with": kept, "rows/s without": lambda: side("--no-history")}, times=TIMES
    )
    stage.say(f"{case}: single seconds")
    written = [1000 * seconds for seconds in seconds_of_a_look(stage)]
    stage.say(f"{case}: a week")
    file = stage.new_file()
    megabytes = week(file) / 1e6
    remove(file)
    lost = losses(sides["rows/s with"], sides["rows/s without"])
    return [
        Figure(case, "rows lost to the history, SQLite, 50 writers", "--no-history", cost, lost, sides),
        Figure(case, "processor time to write a second of it", "–", Goal(None, None, "ms", True), written),
        Figure(case, "a run of 7 days, simulated", "–", size, (megabytes,)),
    ]


def seconds_of_a_look(stage: Stage) -> list[float]:
    """Return the processor time of each second that is written down, s, beside nothing else."""
    file, past, times = stage.new_file(), Past(), []
    with open_to_write(file) as db:
        writer = Scribe(db, beginning(), sample_interval=5.0)
        writer.look(past.look())
        for second in range(1, SECONDS + 1):
            past.at = float(second)
            past.ops("writer", RATE, 0.01, spread=0.8)
            past.ops("reader", RATE, 0.0004, spread=0.8)
            look, began = past.look(), time.thread_time()
            writer.look(look)
            times.append(time.thread_time() - began)
    remove(file)
    return times
