"""The cases on SQLite."""

from collections.abc import Sequence

from bench import soakd, sqlite_raw, watching
from bench.engine import Speed, speed
from bench.figures import Figure, Goal, growth, losses, quantile, ratios
from bench.stage import Stage, remove
from tests.servers import free_port

BATCH = 200
OPEN_RATE = 5000
OPEN_SECONDS = 20.0
WARM = 120.0  # s until caches and pools have their size
SPAN = 30.0  # s that a memory figure is the median of
STARTS = 3  # starts per round
# SQLite's page caches, one per connection, grow to their size as the file does: small ones have done
# so before the measured part, and what grows in it is soakd's own.
SMALL_CACHE = ("--set", "sqlite.cache_size=4MiB")
RECORDING_WRITERS = 50


def rows(stage: Stage, case: str, writers: int, goal: Goal) -> list[Figure]:
    """Rows in batches, against one thread that calls executemany."""
    options = ("--writers", str(writers), "--readers", "0", *soakd.FULL_SPEED)

    def ours() -> float:
        file = stage.new_file()
        summary = soakd.run(f"sqlite:///{file}", stage.seconds, *options)
        remove(file)
        return soakd.rows_per_second(summary)

    def raw() -> float:
        file = stage.new_file()
        measured = sqlite_raw.alone(sqlite_raw.rows_per_second, file, writers, BATCH, stage.seconds)
        remove(file)
        return measured

    sides = stage.alternate(case, {"soakd rows/s": ours, "raw rows/s": raw})
    return [
        Figure(
            case,
            f"SQLite rows, {writers} writers, batch {BATCH}, timeout 0",
            f"raw apsw executemany of {BATCH}, one thread",
            goal,
            ratios(sides["soakd rows/s"], sides["raw rows/s"]),
            sides,
        )
    ]


def reads(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """Point reads, against one thread that does nothing else."""
    file = stage.new_file()
    target = f"sqlite:///{file}"
    stage.say(f"{case}: fill")
    soakd.run(target, stage.seconds, "--writers", "50", "--readers", "0", *soakd.FULL_SPEED, warmup=0)

    def ours(*more: str) -> float:
        options = ("--writers", "0", "--readers", "20", *soakd.ONLY_BY_KEY, *more)
        return soakd.reads_per_second(soakd.run(target, stage.seconds, *options))

    def raw() -> float:
        return sqlite_raw.alone(sqlite_raw.reads_per_second, file, stage.seconds)

    one, two, bare = "soakd reads/s", "soakd reads/s, 2 shards", "raw reads/s"
    sides = stage.alternate(case, {one: ours, two: lambda: ours("--shards", "2"), bare: raw})
    remove(file)
    against = "one raw apsw thread"
    return [
        Figure(case, "SQLite point reads, 20 readers", against, goal, ratios(sides[one], sides[bare]), sides),
        Figure(case, "the same with --shards 2", against, Goal(), ratios(sides[two], sides[bare]), {}),
    ]


def open_loop(stage: Stage, case: str, met: Goal, lag: Goal) -> list[Figure]:
    """An open loop: what share of the offered rate is met, and how late operations are dispatched."""
    shares: list[float] = []
    lags: list[float] = []
    options = ("--writers", "50", "--readers", "0", *soakd.FULL_SPEED, "--write-rate", str(OPEN_RATE))
    for number in range(stage.rounds):
        stage.say(f"{case}: round {number + 1} of {stage.rounds}")
        file = stage.new_file()
        summary = soakd.run(f"sqlite:///{file}", OPEN_SECONDS, *options)
        remove(file)
        shares.append(100 * soakd.rows_per_second(summary) / OPEN_RATE)
        lags.append(1000 * float(summary["schedule_lag"]["writer"]["p99"]))
    what = f"open loop, {OPEN_RATE} rows/s for {OPEN_SECONDS:.0f} s"
    return [
        Figure(case, what, "offered", met, shares, {"rows/s": [s / 100 * OPEN_RATE for s in shares]}),
        Figure(case, "its schedule lag, p99", "–", lag, lags),
    ]


def recording(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """What measuring costs: the same engine with recording and without."""
    cpu: dict[bool, list[float]] = {True: [], False: []}

    def side(*, on: bool) -> float:
        found: Speed = speed(stage.new_file(), RECORDING_WRITERS, stage.seconds / 3, recording=on)
        cpu[on].append(found.cpu)
        return found.rows

    names = {"rows/s with": lambda: side(on=True), "rows/s without": lambda: side(on=False)}
    sides = stage.alternate(case, names, times=4)
    costs = losses(sides["rows/s with"], sides["rows/s without"])
    what = f"cost of recording, SQLite rows, {RECORDING_WRITERS} writers"
    figure = Figure(case, what, "recording off", goal, costs, sides)
    times = {"µs/row with": cpu[True], "µs/row without": cpu[False]}
    more = tuple(100 * (ratio - 1) for ratio in ratios(cpu[True], cpu[False]))
    return [
        figure,
        Figure(case, "the same in CPU time", "recording off", Goal(None, None, "%", True), more, times),
    ]


def scrapes(stage: Stage, case: str, slow: Goal, loss: Goal) -> list[Figure]:
    """What GET /metrics each second takes, and what it costs the load."""
    file, port = stage.new_file(), free_port()
    options = ("--writers", "50", "--readers", "5", *soakd.FULL_SPEED, "--listen", f"127.0.0.1:{port}")
    url, log = f"http://127.0.0.1:{port}/metrics", file.with_suffix(".log")
    pairs = max(2, round(2 * stage.rounds * stage.seconds / watching.STRETCH) // 2 * 2)
    stage.say(f"{case}: {pairs} pairs of {watching.STRETCH} s")
    times, scraped, alone = watching.scrape_now_and_then(f"sqlite:///{file}", options, log, url, pairs)
    remove(file)
    costs = losses(scraped, alone)
    sides = {"rows/s scraped": scraped, "rows/s alone": alone}
    p99 = () if not times else (1000 * quantile(times, 0.99),)
    return [
        Figure(case, "GET /metrics at full load, p99", "–", slow, p99, {"ms": [1000 * t for t in times]}),
        Figure(case, "rows lost to a scrape each second", "without scrapes", loss, costs, sides),
    ]


def memory(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """How much the two processes grow at full speed once they are warm."""
    file = stage.new_file()
    seconds = stage.memory_seconds
    options = ["--writers", "50", "--readers", "5", *soakd.FULL_SPEED, "--duration", "0", *SMALL_CACHE]
    samples = watching.watch_memory(
        file, options, seconds, lambda at: stage.say(f"{case}: {at:.0f} of {seconds:.0f} s")
    )
    remove(file)
    warm = min(WARM, seconds / 5)
    span = min(SPAN, seconds / 5)
    rss = growth([(s.at, s.rss) for s in samples], begin=warm, end=samples[-1].at, span=span)
    uss = growth([(s.at, s.uss) for s in samples], begin=warm, end=samples[-1].at, span=span)
    minutes = f"minute {warm / 60:.3g} to {seconds / 60:.3g}"
    what = f"growth at full speed, {minutes}, engine + supervisor, page caches of 4 MiB"
    return [
        Figure(case, what, "–", goal, (uss,), {"USS MB": _ends([s.uss for s in samples])}),
        Figure(
            case,
            "the same, pages shared with the file system included",
            "–",
            Goal(None, None, "MB", True),
            (rss,),
            {"RSS MB": _ends([s.rss for s in samples]), "samples": [x for s in samples for x in s]},
        ),
    ]


def _ends(values: Sequence[float]) -> list[float]:
    return [values[0], values[-1]]


def start(stage: Stage, case: str, goal: Goal) -> list[Figure]:
    """How long it takes from the command to the first operation."""
    options = ["--duration", "0.5s", "--writers", "10", "--readers", "5"]
    times: list[float] = []
    for number in range(stage.rounds * STARTS):
        stage.say(f"{case}: {number + 1} of {stage.rounds * STARTS}")
        file = stage.new_file()
        times.append(watching.seconds_to_first_op(file, options))
        remove(file)
    return [Figure(case, "start to first operation, SQLite", "–", goal, times)]
