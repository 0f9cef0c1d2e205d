"""Who writes a run down, and whether that process still lives."""

import json
import os
import socket

import psutil

PATIENCE = 60.0
"""Time without a word, s, after which a run of another machine counts as interrupted."""


def me() -> str:
    """Return what this process is found by later: machine, process id and when it was started."""
    pid = os.getpid()
    return json.dumps({"host": socket.gethostname(), "pid": pid, "born": psutil.Process(pid).create_time()})


def lives(owner: str, *, seen: float, now: float) -> bool:
    """Return whether the owner of a run still writes it down.

    Of a process of another machine, a container for instance, nothing is known but its last word.

    Args:
        owner: what `me` returned there.
        seen: when it last wrote something, s since the epoch.
        now: the present time, likewise.
    """
    found = json.loads(owner)
    if found["host"] != socket.gethostname():
        return now - seen < PATIENCE
    try:
        born: float = psutil.Process(found["pid"]).create_time()
    except psutil.Error:
        return False
    return abs(born - float(found["born"])) < 1.0
