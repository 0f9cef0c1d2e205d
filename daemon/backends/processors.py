"""Which processors a thread may run on."""

import os


def keep_to_one(number: int) -> frozenset[int]:
    """Keep the calling thread, and those that it starts from now on, to one processor.

    Threads that hand small pieces of work to one another many thousand times a second run best
    there: the second one is mostly asleep by the time it is needed, and waking an idle processor
    takes longer than a point read, in a virtual machine above all.

    Args:
        number: which of those it may use, counted on from the parent process's id, so that the
            engines of one run take one each and several runs do not all take the first.

    Returns:
        The processors that it could use before; none where the system does not offer the choice.
    """
    if not hasattr(os, "sched_setaffinity"):  # Linux has it
        return frozenset()
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(allowed)[(os.getppid() + number) % len(allowed)]})
    return frozenset(allowed)


def roam(processors: frozenset[int]) -> None:
    """Let the calling thread use these processors; nothing changes when there are none."""
    if processors:
        os.sched_setaffinity(0, processors)
