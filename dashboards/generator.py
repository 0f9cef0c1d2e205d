"""What the dashboard of the host says of soakd itself: is it the bottleneck, does it stay small?"""

from dashboards.panels import BAD, WARN, Lines, Query, Row, Stat, limit, rising
from dashboards.promql import highest, quantile, rate, select, some, total

NONE = "not sampled"
LAG = "soakd_schedule_lag_seconds"
LATE = {
    "writer p50": "light-blue",
    "writer p99": "blue",
    "reader p50": "light-purple",
    "reader p99": "purple",
}
# A limit of 0 is none: there is no line to be drawn.
MEMORY_LIMIT = f"({highest('soakd_host_cgroup_memory_limit_bytes')} > 0)"

GENERATOR = Row(
    "Is soakd itself the bottleneck?",
    (
        Lines(
            "Are engines short of CPU?",
            "CPU seconds per second of each engine, which can use one processor; and the share of time "
            "in which an engine, not the database, was the bottleneck.",
            "percentunit",
            (
                Query(
                    highest("soakd_engine_cpu_ratio", by="shard"),
                    "CPU of engine {{shard}} · {{instance}}",
                    "blue",
                ),
                Query(
                    rate("soakd_generator_limited_seconds_total", by="shard"),
                    "limited, engine {{shard}} · {{instance}}",
                    WARN,
                ),
            ),
            steps=rising(0.8, 0.95),
        ),
        Lines(
            "Do engines come to their work in time?",
            "How late the engines' own timers fire. A few milliseconds are usual; beyond that soakd is "
            "short of CPU, and part of the response time is its own.",
            "s",
            (
                Query(
                    quantile(0.5, "soakd_event_loop_lag_seconds", by="shard"),
                    "p50 of engine {{shard}} · {{instance}}",
                    "light-blue",
                ),
                Query(
                    quantile(0.99, "soakd_event_loop_lag_seconds", by="shard"),
                    "p99 of engine {{shard}} · {{instance}}",
                    "dark-blue",
                ),
            ),
            steps=rising(0.01, 0.05),
            log=True,
        ),
        Lines(
            "Are operations dispatched when they are due?",
            "From the intended time to the dispatch, by pool. Late in one pool only: all its workers "
            "are busy with the database. Late in both: soakd is short of CPU.",
            "s",
            (
                Query(quantile(0.5, LAG, by="pool"), "{{pool}} p50 · {{instance}}"),
                Query(quantile(0.99, LAG, by="pool"), "{{pool}} p99 · {{instance}}"),
            ),
            colours=LATE,
            steps=rising(0.01, 0.1),
            log=True,
        ),
    ),
)

PROCESS = Row(
    "Does soakd stay small and alive?",
    (
        Lines(
            "Does its memory grow?",
            "Resident memory of engines and supervisor, what its container is charged, and that one's "
            "limit. soakd works in fixed memory: after the caches are full it must not grow.",
            "bytes",
            (
                Query(total("soakd_engine_rss_bytes"), "engines · {{instance}}", "blue"),
                Query(total("soakd_supervisor_rss_bytes"), "supervisor · {{instance}}", "purple"),
                Query(highest("soakd_host_cgroup_memory_bytes"), "container · {{instance}}", "light-blue"),
                limit(MEMORY_LIMIT, "limit · {{instance}}"),
            ),
            width=6,
        ),
        Lines(
            "Do descriptors or threads leak?",
            "Open file descriptors and threads by process.",
            "short",
            (
                Query(
                    total("soakd_process_open_fds", by="process"),
                    "descriptors of the {{process}} · {{instance}}",
                ),
                Query(
                    total("soakd_process_threads", by="process"), "threads of the {{process}} · {{instance}}"
                ),
            ),
            colours={"descriptors": "blue", "threads": "purple"},
            width=6,
            none=NONE,
        ),
        Lines(
            "Do engines die?",
            "Engines replaced in each interval, and seconds per second without their load.",
            "short",
            (
                Query(
                    some(rate("soakd_engine_restarts_total", by="shard")),
                    "restarts of {{shard}} · {{instance}}",
                    BAD,
                ),
                Query(
                    some(rate("soakd_engine_gap_seconds_total", by="shard")),
                    "without engine {{shard}} · {{instance}}",
                    WARN,
                ),
            ),
            width=6,
            stacked=True,
            bars=True,
            none="none has died",
        ),
        Lines(
            "How much goes over the network?",
            "Bytes per second of the machine, loopback excluded.",
            "binBps",
            (Query(rate("soakd_host_network_bytes_total", by="direction"), "{{direction}} · {{instance}}"),),
            colours={"receive": "purple", "transmit": "blue"},
            width=6,
            none=NONE,
        ),
    ),
)

SAMPLERS = Row(
    "What does the sampling cost?",
    (
        Lines(
            "How long do samples take?",
            "Seconds per second by collector: what soakd's own watching costs.",
            "percentunit",
            (Query(rate("soakd_sampler_seconds_total", by="collector"), "{{collector}} · {{instance}}"),),
            steps=rising(0.02, 0.1),
            stacked=True,
            width=7,
        ),
        Lines(
            "Do samples succeed?",
            "Samples per second by outcome. skipped: the collector had kept failing and is switched off "
            "for a while.",
            "ops",
            (Query(rate("soakd_sampler_runs_total", by="outcome"), "{{outcome}} · {{instance}}"),),
            colours={"ok": "blue", "error": BAD, "skipped": WARN},
            width=7,
        ),
        Lines(
            "How old is the newest sample?",
            "Time since the last sample of each collector that succeeded.",
            "s",
            (
                Query(
                    f"time() - {highest('soakd_sampler_last_success_timestamp_seconds', by='collector')}",
                    "{{collector}} · {{instance}}",
                ),
            ),
            steps=rising(60, 600),
            width=6,
        ),
        Stat(
            "Switched off",
            "Collectors that keep failing and are switched off for a while. Their panels stand still.",
            "short",
            (Query(f"sum by (instance) (1 - {select('soakd_sampler_enabled')})"),),
            steps=rising(1, 3),
            width=4,
            height=8,
        ),
    ),
    folded=True,
)
