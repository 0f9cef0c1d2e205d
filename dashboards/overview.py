"""The dashboard to begin with: does the database hold the load, and if not, where does it hurt?"""

from daemon.record.catalog import PHASES
from dashboards.batch import ERRORS, QUEUE, REASONS, SIZES
from dashboards.panels import (
    BAD,
    GOOD,
    LIMIT,
    NEUTRAL,
    WARN,
    Heatmap,
    Lines,
    Page,
    Query,
    Row,
    Stat,
    falling,
    limit,
    percentiles,
    rising,
)
from dashboards.promql import (
    average,
    floor,
    growth,
    highest,
    lowest,
    mean,
    quantile,
    rate,
    select,
    some,
    spread,
    total,
)

SLOW = rising(0.1, 0.2)  # s: what people notice, and what they complain about
FAILING = rising(0.001, 0.01)
POOLS = {"writer": "blue", "reader": "purple"}
PHASE_COLOURS = (NEUTRAL, NEUTRAL, GOOD, WARN, LIMIT)
DROPS = {"outage": BAD, "queue_full": WARN, "backlog": "yellow", "stopping": LIMIT, "aborted": LIMIT}

OK = rate("soakd_ops_total", 'outcome="ok"', by="pool")
# The target of a closed loop is 0: there is none to be drawn, or to be divided by.
TARGET = f"({total('soakd_target_ops_per_second', by='pool')} > 0)"
FAILED, RAN = 'outcome=~"error|timeout"', 'outcome!="dropped"'
P99 = quantile(0.99, "soakd_op_response_seconds", by="pool")
PHASE = " + ".join(
    total("soakd_run_phase", f'phase="{phase}"') + f" * {number}" for number, phase in enumerate(PHASES, 1)
)

FIRST = Row(
    "What to look at first",
    (
        Stat(
            "State",
            "The phase that the run is in. Figures count while it is running.",
            "none",
            (Query(PHASE),),
            words=dict(enumerate(zip(PHASES, PHASE_COLOURS, strict=True), 1)),
            none="no run",
        ),
        Stat(
            "Database",
            "UP while the database answers. DOWN: see its own log first; soakd goes on, counts the outage "
            "and takes the load up again by itself.",
            "bool_yes_no",
            (Query(lowest("soakd_target_up")),),
            steps=falling(0.5, 1),
            words={0: ("DOWN", BAD), 1: ("UP", GOOD)},
            none="soakd is not reached",
            link=("soakd-postgresql", "PostgreSQL"),
        ),
        Stat(
            "Rate ÷ target",
            "Operations that succeeded by operations asked for, in the shown time, of the pool that missed "
            "its target most. Below 99 % the database, or soakd, did not keep up.",
            "percentunit",
            # The target is of the present moment: a soakd that is gone has no tile.
            (Query(f"min by (instance) ({average(f'{OK} / {TARGET}')} and on (instance, pool) {TARGET})"),),
            steps=falling(0.95, 0.99),
            none="closed loop: no target",
            decimals=1,
        ),
        Stat(
            "Slowest p99",
            "Response time that 99 % of the operations of the slower pool stay below: what a user would have "
            "waited, from the moment the operation was due.",
            "s",
            (Query(f"max by (instance) ({P99})"),),
            steps=SLOW,
        ),
        Stat(
            "Errors",
            "Operations that failed or timed out, of all that ran. Which class of error, and when: see "
            "below.",
            "percentunit",
            (Query(f"{rate('soakd_ops_total', FAILED)} / {rate('soakd_ops_total', RAN)}"),),
            steps=FAILING,
            decimals=2,
        ),
        Stat(
            "Batch queue",
            "How full the queue of rows that wait to be written is. Above 80 % the database takes rows up "
            "more slowly than they come; at 100 % writers are blocked or rows dropped.",
            "percentunit",
            (Query(highest("soakd_batch_queue_utilization_ratio")),),
            steps=rising(0.8, 0.9),
            decimals=0,
            link=("soakd-batch-writer", "Batch writer"),
        ),
        Stat(
            "Dropped",
            "Intended operations that never ran, in the shown time. They are missing from the percentiles, "
            "so these are too good while there are any.",
            "short",
            (Query(f"round({growth('soakd_ops_dropped_total')})"),),
            steps=rising(1, 1000),
        ),
        Stat(
            "Generator limited",
            "yes: soakd itself is the bottleneck, and the figures say more about it than about the database. "
            "Use more shards, a larger machine, or ask for less.",
            "bool_yes_no",
            (Query(highest("soakd_generator_limited")),),
            steps=rising(0.5, 2),
            words={0: ("no", GOOD), 1: ("yes", WARN)},
            link=("soakd-host", "Host and generator"),
        ),
    ),
)

# One scale for a tile of two kinds: the states are 0 to 2, thresholds 3 and 4.
THROUGHPUT = Row(
    "Does the database hold the load?",
    (
        Lines(
            "Is the target rate met?",
            "Operations that succeeded per second. Grey dashes are the rate asked for (none in a closed "
            "loop). The dashed floor is the rate that was reached 99 % of the shown time: an average hides "
            "stalls, the floor does not.",
            "ops",
            (
                Query(OK, "{{pool}} · {{instance}}"),
                Query(floor(OK, line=True), "{{pool}} floor · {{instance}}", dashed=True),
                limit(TARGET, "{{pool}} target · {{instance}}"),
            ),
            colours=POOLS,
            width=14,
        ),
        Stat(
            "How steady is the rate?",
            "The floor is the first percentile of the rate over the shown time, beside its mean. A floor "
            "far below the mean is a database that stalls: look for checkpoints, vacuum and locks at those "
            "moments.",
            "ops",
            (
                Query(floor(OK), "{{pool}} floor · {{instance}}"),
                Query(average(OK), "{{pool}} mean · {{instance}}"),
            ),
            width=5,
            height=8,
        ),
        Stat(
            "What is running?",
            "The run, its workload, the database, and the versions of soakd and Python.",
            "none",
            (
                Query(select("soakd_run_info"), "{{workload}} on {{backend}}"),
                Query(select("soakd_run_info"), "run {{run_id}}"),
                Query(select("soakd_build_info"), "soakd {{version}}, Python {{python}}"),
            ),
            names=True,
            width=5,
            height=8,
        ),
    ),
)


def _percentiles(pool: str, title: str) -> Lines:
    this = f'pool="{pool}"'
    return Lines(
        title,
        "Response time is from the moment an operation was due: what a user would have waited. Service time "
        "is the database's own share of it. Response far above service: work was waiting, not being done. "
        "Dashes at 100 and 200 ms.",
        "s",
        (
            *percentiles("soakd_op_response_seconds", this),
            Query(
                quantile(0.99, "soakd_op_service_seconds", this),
                "service p99 · {{instance}}",
                "purple",
                dashed=True,
            ),
        ),
        steps=SLOW,
        log=True,
        none=f"no {pool}s, or not chosen",
    )


def _shares(pool: str, title: str) -> Lines:
    this = f'pool="{pool}"'
    return Lines(
        title,
        "Mean response time in its parts. Late: soakd dispatched it after it was due. Waiting: for the "
        "batch to fill, for a connection, or for its turn. In the database: from being taken up to the "
        "answer, COMMIT included.",
        "s",
        (
            Query(mean("soakd_op_service_seconds", this), "in the database · {{instance}}", "blue"),
            Query(mean("soakd_op_queue_wait_seconds", this), "waiting · {{instance}}", "yellow"),
            Query(mean("soakd_schedule_lag_seconds", this), "late · {{instance}}", "orange"),
        ),
        stacked=True,
        none=f"no {pool}s, or not chosen",
        width=12,
    )


LATENCY = Row(
    "How long does it take?",
    (
        _percentiles("writer", "How long do writes take?"),
        _percentiles("reader", "How long do reads take?"),
        Heatmap(
            "How are response times spread?",
            "Response times of the chosen pools and operations: the darker, the more of them. Two bands are "
            "two kinds of operations; a column that reaches up is a stall.",
            "s",
            spread("soakd_op_response_seconds"),
        ),
        _shares("writer", "Where do writes spend it?"),
        _shares("reader", "Where do reads spend it?"),
    ),
)

FAILURES = Row(
    "What goes wrong?",
    (
        Lines(
            "Which errors are there?",
            "Failed operations per second by class. connection: the database was away; deadlock, "
            "serialization and lock_timeout: transactions in each other's way; busy: SQLite's file lock; "
            "timeout: longer than the configured time.",
            "ops",
            (Query(some(rate("soakd_op_errors_total", by="class")), "{{class}} · {{instance}}"),),
            colours=ERRORS,
            stacked=True,
            bars=True,
            none="no errors",
            width=6,
        ),
        Lines(
            "How many operations fail?",
            "Errors and timeouts by operations that ran. Dashes at 0.1 % and 1 %.",
            "percentunit",
            (
                Query(
                    f"{rate('soakd_ops_total', FAILED, by='pool')}"
                    f" / {rate('soakd_ops_total', RAN, by='pool')}",
                    "{{pool}} · {{instance}}",
                ),
            ),
            steps=FAILING,
            colours=POOLS,
            width=6,
        ),
        Lines(
            "Was the database away?",
            "Part of the time in which soakd had no connection to it. A bar of 100 % is an outage of that "
            "length; a low one is short: a restart of the server, or all connections cut.",
            "percentunit",
            (Query(rate("soakd_target_outage_seconds_total"), colour=BAD),),
            bars=True,
            top=1,
            width=6,
        ),
        Lines(
            "What is dropped?",
            "Intended operations per second that never ran. backlog: too far behind the schedule; outage: "
            "due while the database was away; queue_full: no room for the row; stopping and aborted: cut "
            "off at the end of the run.",
            "ops",
            (Query(some(rate("soakd_ops_dropped_total", by="reason")), "{{reason}} · {{instance}}"),),
            colours=DROPS,
            stacked=True,
            bars=True,
            none="nothing",
            width=6,
        ),
    ),
)

BATCHES = Row(
    "Do rows get through?",
    (
        QUEUE._replace(width=6),
        SIZES._replace(width=6),
        REASONS._replace(width=6),
        Lines(
            "Are all workers busy?",
            "Operations under way, and the workers that could have one each. At the limit all the time, more "
            "workers can ask more of the database.",
            "short",
            (
                Query(total("soakd_ops_in_flight", by="pool"), "{{pool}} under way · {{instance}}"),
                limit(total("soakd_workers", by="pool"), "{{pool}} workers · {{instance}}"),
            ),
            colours=POOLS,
            width=6,
        ),
    ),
)

PAGE = Page(
    name="soak-overview",
    uid="soakd-overview",
    title="soakd · Soak overview",
    description="Does the database hold the load, and if not, where does it hurt? Begin with the first row.",
    marker="soakd_build_info",
    instance="soakd",
    choices=("pool", "op"),
    rows=(FIRST, THROUGHPUT, LATENCY, FAILURES, BATCHES),
)
