"""The row about what a workload does beside its operations: is the data right, and does all follow?"""

from dashboards.panels import BAD, GOOD, LIMIT, WARN, Lines, Query, Row, rising
from dashboards.promql import highest, rate, some

RESULTS = {"ok": GOOD, "violated": BAD, "timeout": WARN, "error": LIMIT}

DATA = Row(
    "Is the data right, and does all follow?",
    (
        Lines(
            "Does what must be true hold?",
            "Violations that the latest check of each invariant has found, in a sample while the load runs "
            "and in everything at its end. Above 0 the database, or the workload, has lost or doubled something: "
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
    ),
)
