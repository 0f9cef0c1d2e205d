"""The dashboard of the machine that makes the load, and of soakd itself: can the figures be trusted?"""

from dashboards.generator import GENERATOR, NONE, PROCESS, SAMPLERS
from dashboards.panels import BAD, GOOD, WARN, Lines, Page, Query, Row, Stat, falling, limit, rising
from dashboards.promql import growth, highest, lowest, quantile, quantile_shown, rate, total

MODES = {
    "user": "blue",
    "nice": "light-blue",
    "system": "purple",
    "irq": "yellow",
    "softirq": "light-yellow",
    "iowait": WARN,
    "steal": BAD,
}
CPUS = highest("soakd_host_cpus")
STEAL = 'mode="steal"'
BUSY = 'mode!~"idle|iowait"'
# A quota of 0 is none: there is no line to be drawn.
QUOTA = f"({highest('soakd_host_cgroup_cpu_limit_cores')} > 0)"
AVAILABLE = total("soakd_host_memory_bytes", 'kind="available"')
MEMORY = total("soakd_host_memory_bytes", 'kind="total"')
FREE, SIZE = lowest("soakd_host_disk_free_bytes"), highest("soakd_host_disk_size_bytes")
SECONDS, OPERATIONS = "soakd_host_disk_operation_seconds_total", "soakd_host_disk_operations_total"

FIRST = Row(
    "What to look at first",
    (
        Stat(
            "Generator limited",
            "yes: soakd itself is the bottleneck, and the figures say more about it than about the database.",
            "bool_yes_no",
            (Query(highest("soakd_generator_limited")),),
            steps=rising(0.5, 2),
            words={0: ("no", GOOD), 1: ("yes", WARN)},
        ),
        Stat(
            "CPU busy",
            "Of all processors of soakd's machine.",
            "percentunit",
            (Query(f"{rate('soakd_host_cpu_seconds_total', BUSY)} / {CPUS}"),),
            steps=rising(0.8, 0.95),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "CPU steal",
            "Time that the hypervisor gave to others. A slower database at such a moment is a slower "
            "machine.",
            "percentunit",
            (Query(f"{rate('soakd_host_cpu_seconds_total', STEAL)} / {CPUS}"),),
            steps=rising(0.02, 0.1),
            none=NONE,
            decimals=1,
        ),
        Stat(
            "Held back",
            "Time per second in which the CPU quota of its container held soakd back.",
            "percentunit",
            (Query(rate("soakd_host_cgroup_throttled_seconds_total")),),
            steps=rising(0.01, 0.1),
            none="no CPU quota",
            decimals=1,
        ),
        Stat(
            "Memory left",
            "Memory that programs can still get, of all that the machine has.",
            "percentunit",
            (Query(f"{AVAILABLE} / {MEMORY}"),),
            steps=falling(0.05, 0.15),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "Disk left",
            "Free space where the data are, of all.",
            "percentunit",
            (Query(f"{FREE} / {SIZE}"),),
            steps=falling(0.1, 0.2),
            none=NONE,
            decimals=0,
        ),
        Stat(
            "fsync p99",
            "Time to write and fsync 4 KiB in the data folder, in the shown time. A COMMIT cannot be faster "
            "than this, where the database is on the same disk.",
            "s",
            (Query(quantile_shown(0.99, "soakd_host_fsync_seconds")),),
            steps=rising(0.02, 0.1),
            none=NONE,
        ),
        Stat(
            "Engine restarts",
            "Engine processes that died and were replaced, in the shown time.",
            "short",
            (Query(f"round({growth('soakd_engine_restarts_total')})"),),
            steps=rising(1, 3),
        ),
    ),
)


MACHINE = Row(
    "Has the machine enough CPU and memory?",
    (
        Lines(
            "What is the CPU busy with?",
            "Processors in use by mode, and how many there are; and the quota of soakd's container, if "
            "it has one. steal: taken away by the hypervisor; iowait: idle while the disk is waited for.",
            "short",
            (
                Query(
                    rate("soakd_host_cpu_seconds_total", 'mode!="idle"', by="mode"), "{{mode}} · {{instance}}"
                ),
                limit(CPUS, "processors · {{instance}}"),
                limit(QUOTA, "quota · {{instance}}"),
            ),
            colours=MODES,
            width=6,
            none=NONE,
        ),
        Lines(
            "Do tasks have to wait?",
            "Share of time in which some, or all (full), tasks waited for CPU, disk or memory (PSI), "
            "and in which the quota held soakd back.",
            "percentunit",
            (
                Query(
                    rate("soakd_host_pressure_seconds_total", by="resource, kind"),
                    "{{resource}} {{kind}} · {{instance}}",
                ),
                Query(
                    rate("soakd_host_cgroup_throttled_seconds_total"),
                    "held back by quota · {{instance}}",
                    BAD,
                ),
            ),
            colours={"cpu": "blue", "io": "purple", "memory": "yellow"},
            steps=rising(0.2, 0.5),
            width=6,
            none="not told by this kernel",
        ),
        Lines(
            "How many tasks want to run?",
            "Load average, and the number of processors.",
            "short",
            (
                Query(total("soakd_host_load", by="window"), "{{window}} · {{instance}}"),
                limit(CPUS, "processors · {{instance}}"),
            ),
            colours={"1m": "light-blue", "5m": "blue", "15m": "dark-blue"},
            width=6,
            none=NONE,
        ),
        Lines(
            "Is there memory left?",
            "available: what programs can still get, the page cache included. Swap in use slows "
            "everything down.",
            "bytes",
            (
                Query(
                    total("soakd_host_memory_bytes", 'kind!="total"', by="kind"), "{{kind}} · {{instance}}"
                ),
                limit(MEMORY, "total · {{instance}}"),
            ),
            colours={"available": "blue", "cached": "light-blue", "swap_used": BAD},
            width=6,
            none=NONE,
        ),
    ),
)


DISK = Row(
    "Is the disk fast enough, and is there room?",
    (
        Lines(
            "How much is read and written?",
            "Bytes per second of the disk with the data folder.",
            "binBps",
            (Query(rate("soakd_host_disk_bytes_total", by="direction"), "{{direction}} · {{instance}}"),),
            colours={"read": "purple", "write": "blue"},
            width=5,
            none=NONE,
        ),
        Lines(
            "How long does an operation take?",
            "Mean time of a read or write of the disk, waiting included. When a cloud disk has used up "
            "its burst, this is where it shows.",
            "s",
            (
                Query(
                    f"{rate(SECONDS, by='direction')} / {rate(OPERATIONS, by='direction')}",
                    "{{direction}} · {{instance}}",
                ),
            ),
            colours={"read": "purple", "write": "blue"},
            steps=rising(0.01, 0.05),
            log=True,
            width=5,
            none=NONE,
        ),
        Lines(
            "Is the disk busy?",
            "Share of time in which it had work to do. A disk that works in parallel can be busy all "
            "the time and still have room: compare the times.",
            "percentunit",
            (Query(rate("soakd_host_disk_busy_seconds_total"), "busy · {{instance}}", "blue"),),
            steps=rising(0.8, 0.95),
            width=5,
            none=NONE,
        ),
        Lines(
            "How long does an fsync take?",
            "Write and fsync of 4 KiB in the data folder, tried now and then.",
            "s",
            (
                Query(quantile(0.5, "soakd_host_fsync_seconds"), "p50 · {{instance}}", "light-blue"),
                Query(quantile(0.99, "soakd_host_fsync_seconds"), "p99 · {{instance}}", "dark-blue"),
            ),
            steps=rising(0.02, 0.1),
            log=True,
            width=5,
            none=NONE,
        ),
        Lines(
            "When will it be full?",
            "Free space where the data are, and the size of that file system.",
            "bytes",
            (
                Query(FREE, "free · {{instance}}", "blue"),
                limit(SIZE, "size · {{instance}}"),
            ),
            width=4,
            none=NONE,
        ),
    ),
)


PAGE = Page(
    name="host-and-generator",
    uid="soakd-host",
    title="soakd · Host and generator",
    description="Can the figures be trusted? soakd itself, and the machine that it runs on: with a "
    "database elsewhere these are not the database's.",
    marker="soakd_build_info",
    instance="soakd",
    choices=("pool",),
    rows=(FIRST, GENERATOR, MACHINE, DISK, PROCESS, SAMPLERS),
)
