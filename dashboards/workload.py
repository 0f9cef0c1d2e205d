"""The dashboard of what a workload does beside its operations: is the data right, and does all follow?"""

from dashboards.panels import BAD, GOOD, LIMIT, WARN, Lines, Page, Query, Row, Stat, percentiles, rising
from dashboards.promql import growth, highest, rate, select, some, total

ANSWERED, UNANSWERED = 'result=~"ok|violated"', 'result=~"timeout|error"'
OK, REJECTED, RAN = 'outcome="ok"', 'outcome="rejected"', 'outcome!="dropped"'
RESULTS = {"ok": GOOD, "violated": BAD, "timeout": WARN, "error": LIMIT}

FIRST = Row(
    "What to look at first",
    (
        Stat(
            "Invariants",
            "What must be true of the data and is not, at the latest check. Anything above 0 ends the run "
            "with exit code 5.",
            "short",
            (Query(total("soakd_invariant_violations")),),
            steps=rising(1, 1),
            none="nothing to be checked",
        ),
        Stat(
            "Checked",
            "Checks of invariants in the shown time that came to an answer.",
            "short",
            (Query(f"round({growth('soakd_invariant_checks_total', ANSWERED)})"),),
            none="nothing to be checked",
        ),
        Stat(
            "Not checked",
            "Checks in the shown time that took longer than their budget, or got no answer.",
            "short",
            (Query(f"round({growth('soakd_invariant_checks_total', UNANSWERED)})"),),
            steps=rising(1, 100),
            none="nothing to be checked",
        ),
        Stat(
            "Farthest behind",
            "Age of the oldest row that the slowest consumer has not processed yet.",
            "s",
            (Query(highest("soakd_consumer_lag_seconds")),),
            steps=rising(10, 60),
            none="no consumers",
        ),
        Stat(
            "Rows consumed",
            "Rows per second that all consumers together have processed.",
            "rowsps",
            (Query(rate("soakd_consumer_rows_total")),),
            none="no consumers",
        ),
        Stat(
            "Failed steps",
            "Steps of consumers in the shown time that failed, and were tried again.",
            "short",
            (Query(f"round({growth('soakd_consumer_errors_total')})"),),
            steps=rising(1, 100),
            none="no consumers",
        ),
        Stat(
            "Tried again",
            "Tries after a conflict with another transaction (deadlock, serialization, busy), by operations "
            "that succeed. Many mean that the same rows are wanted by all.",
            "percentunit",
            (Query(f"{rate('soakd_retries_total')} / {rate('soakd_ops_total', OK)}"),),
            steps=rising(0.05, 0.2),
            decimals=2,
        ),
        Stat(
            "Rejected",
            "Operations that got an answer, and the answer was no (insufficient funds, for instance), of all "
            "that ran. They are no errors.",
            "percentunit",
            (Query(f"{rate('soakd_ops_total', REJECTED)} / {rate('soakd_ops_total', RAN)}"),),
            decimals=1,
        ),
    ),
)
VERDICT = Row(
    "What does soakd itself make of it?",
    (
        Stat(
            "State and thresholds",
            "Stressed: queue above 90 %, errors above 1 %, p95 above 100 ms or rising, or a rate that falls "
            "behind. Overloaded: queue full, time-outs, p95 above a second, or half of the rate lost. The "
            "log says which rule, and what to do about it. Beside it the thresholds of the run: one that is "
            "failed at the end makes exit code 4.",
            "none",
            (
                Query(highest("soakd_state"), "{{instance}}"),
                Query(f"{select('soakd_threshold_ok')} + 3", "{{threshold}} · {{instance}}"),
            ),
            words={
                0: ("healthy", GOOD),
                1: ("stressed", WARN),
                2: ("OVERLOADED", BAD),
                3: ("FAILED", BAD),
                4: ("met", GOOD),
            },
            none="no run",
            width=24,
        ),
    ),
)

DATA = Row(
    "Is the data right, and does all follow?",
    (
        Lines(
            "Does what must be true hold?",
            "Violations that the latest check of each invariant has found, in a sample while the load runs "
            "and in everything at its end. Above 0 something was lost, doubled or half done: "
            "the summary and the log say what.",
            "short",
            (Query(highest("soakd_invariant_violations", by="invariant"), "{{invariant}} · {{instance}}"),),
            steps=rising(1, 1),
            none="nothing to be checked",
            width=6,
        ),
        Lines(
            "Are the checks made?",
            "Checks per second by what came of them. timeout: a check took longer than its budget, and the "
            "next one looks at less; error: the database did not answer.",
            "ops",
            (Query(some(rate("soakd_invariant_checks_total", by="result")), "{{result}} · {{instance}}"),),
            colours=RESULTS,
            stacked=True,
            bars=True,
            none="nothing to be checked",
            width=6,
        ),
        Lines(
            "How far behind are the consumers?",
            "Age of the oldest row that a consumer has not processed yet. It grows without end where events "
            "come faster than the consumer takes them.",
            "s",
            (Query(highest("soakd_consumer_lag_seconds", by="consumer"), "{{consumer}} · {{instance}}"),),
            none="no consumers in this workload",
            width=6,
        ),
        Lines(
            "How fast are they, and what fails?",
            "Rows per second that each consumer has processed, and its failed steps by class of error.",
            "ops",
            (
                Query(rate("soakd_consumer_rows_total", by="consumer"), "{{consumer}} rows · {{instance}}"),
                Query(some(rate("soakd_consumer_errors_total", by="class")), "{{class}} · {{instance}}"),
            ),
            none="no consumers in this workload",
            width=6,
        ),
        Lines(
            "How soon is an event seen?",
            "Time from an event being accepted to its being visible to a reader, by canaries: events of "
            "soakd's own that are sent now and then and asked for until they are there.",
            "s",
            percentiles("soakd_canary_visible_seconds"),
            none="no canaries in this workload",
            log=True,
            width=12,
        ),
        Lines(
            "Which canaries were never seen?",
            "Canaries per second that nobody saw in time: the database was away, or events are lost.",
            "ops",
            (Query(rate("soakd_canaries_lost_total"), "lost · {{instance}}", BAD),),
            bars=True,
            none="no canaries in this workload",
            width=12,
        ),
    ),
)

PAGE = Page(
    name="workload",
    uid="soakd-workload",
    title="soakd · Workload",
    description="What a workload does beside its operations: is the data right, and do the consumers follow?",
    marker="soakd_invariant_violations",
    instance="soakd-ledger",
    choices=("pool", "op"),
    rows=(FIRST, VERDICT, DATA),
)
