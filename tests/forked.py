"""Commands of soakd in processes of their own that need not load the libraries first.

Most of the time that a short command takes is spent on imports, and the tests run hundreds of
them. So one process loads everything once and forks for each command: what is tested has its own
process id, descriptors, environment, folder and exit status, and gets signals as any other. A
command forks its first engines in turn, while it has no threads at work; engines
that replace dead ones are started as everywhere. That `soakd` also starts the way users start it
is for tests/test_cli.py, `test_packaging.py`, `test_shards.py` and the tests in a terminal to show.
"""

import asyncio
import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import IO, Any, NoReturn, cast

from daemon.config.reference import reference
from daemon.control import engines
from daemon.load import engine
from daemon.results.environment import environment

ROOT = Path(__file__).parent.parent
DESCRIPTORS = 4  # of a request: where its exit status goes, then stdin, stdout, stderr
FOR_OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a whole process group is sent: the process that forks goes on until nobody needs it."""
LOADED_LATE = (
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.lifespan.off",
    "apsw",
    "apsw.ext",
    "psycopg",
    "rich.live",
)

_spawned = engines._spawn  # as users have it


class Forked:
    """One command, with the part of `subprocess.Popen` that the tests use."""

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        """Start `soakd` with these arguments; what is not given for its output is thrown away."""
        request = {
            "arguments": [str(one) for one in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
        }
        self._status, theirs = socket.socketpair()
        with theirs, Path(os.devnull).open("r+b") as nothing:
            files = (theirs, nothing, stdout or nothing, stderr or nothing)
            nursery = _nursery()
            nursery.sendall(len(body := json.dumps(request).encode()).to_bytes(4, "big"))
            socket.send_fds(nursery, [b"!"], [file.fileno() for file in files])
            nursery.sendall(body)
        self.pid = int.from_bytes(self._status.recv(4), "big")
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code, the negative number of the signal that ended it; see `Popen.wait`."""
        if self.returncode is None:
            self._status.settimeout(timeout)
            try:
                told = self._status.recv(4)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired("soakd", timeout or 0.0) from None
            assert len(told) == 4, "the process that forks commands is gone"
            self._status.close()
            self.returncode = os.waitstatus_to_exitcode(int.from_bytes(told, "big"))
        return self.returncode

    def poll(self) -> int | None:
        """Return its exit code; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it the hard way."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def run(
    arguments: Sequence[object],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run `soakd` with these arguments to its end, as `subprocess.run` with captured text would.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    with ExitStack() as stack:
        out, err = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        process = Forked(arguments, cwd=cwd, env=env, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(
            [str(one) for one in arguments], code, out.read().decode(), err.read().decode()
        )


@cache
def _nursery() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class _Nursery:
    """The process that forks: takes requests, tells of exit statuses."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._children: dict[int, socket.socket] = {}
        self._woken, bell = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(bell, False)
        self._bell = bell

    def serve(self) -> Mapping[str, Any] | None:
        """Answer requests; return None at their end, and in each child the request that it is for."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in FOR_OTHERS:
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(self._bell)
        with DefaultSelector() as selector:
            selector.register(self._requests, EVENT_READ)
            selector.register(self._woken, EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._reap()
                if self._requests in ready:
                    head = self._requests.recv(4, socket.MSG_WAITALL)
                    if not head:
                        self._end()
                        return None
                    if request := self._fork(int.from_bytes(head, "big")):
                        return request

    def _fork(self, length: int) -> Mapping[str, Any] | None:
        _, files, _, _ = socket.recv_fds(self._requests, 1, DESCRIPTORS)
        request: dict[str, Any] = json.loads(self._requests.recv(length, socket.MSG_WAITALL))
        status, *streams = files
        if child := os.fork():
            self._children[child] = socket.socket(fileno=status)
            self._children[child].sendall(child.to_bytes(4, "big"))
            for file in streams:
                os.close(file)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(streams):
            os.dup2(file, number)
            os.close(file)
        for other in (status, self._woken, self._bell):
            os.close(other)
        for connection in (self._requests, *self._children.values()):
            connection.close()
        return request

    def _end(self) -> None:
        """End what was left running: nobody is there any more to do it."""
        for child in self._children:
            os.kill(child, signal.SIGKILL)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                with self._children.pop(ended[0]) as status, suppress(OSError):
                    status.sendall(ended[1].to_bytes(4, "big"))


def _preload() -> None:
    import daemon

    for module in pkgutil.walk_packages(daemon.__path__, "daemon."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in LOADED_LATE:
        importlib.import_module(name)
    # What a process finds out but once.
    reference()
    environment()


def _become(request: Mapping[str, Any]) -> NoReturn:
    """Be the command that was asked for."""
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    Path("/proc/self/comm").write_text("soakd")
    sys.argv = ["soakd", *request["arguments"]]
    # Its own, as an interpreter makes them at its start.
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w")
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
    from daemon.__main__ import main

    engines._spawn = _spawn
    _leave(main)


class _Engine:
    """The part of `asyncio.subprocess.Process` that is used of an engine."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._watched = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._watched, self._reap)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._ended.set()


async def _spawn(channel: int, counters: int, stderr: IO[bytes]) -> asyncio.subprocess.Process:
    if not _alone():
        return await _spawned(channel, counters, stderr)
    child = os.fork()
    if not child:
        try:
            _become_engine(channel, counters, stderr.fileno())
        finally:  # it may not go on as its parent, whatever happens
            os._exit(70)
    return cast("asyncio.subprocess.Process", _Engine(child))


def _alone() -> bool:
    """Return whether there is no thread but those of the loop's executor, which have nothing to do then.

    A fork would have none of the others, but all that they hold.
    """
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    unknown = len(list(Path("/proc/self/task").iterdir())) - 1 - len(names)
    return not unknown and all(name.startswith("asyncio_") for name in names)


def _become_engine(channel: int, counters: int, stderr: int) -> NoReturn:
    gc.freeze()  # nothing of its parent is to be ended in it
    signal.set_wakeup_fd(-1)
    os.dup2(stderr, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in {int(entry.name) for entry in Path("/proc/self/fd").iterdir()} - {
        0,
        1,
        2,
        channel,
        counters,
    }:
        with suppress(OSError):  # the one that lists them
            os.close(number)
    sys.argv = ["engine", str(channel), str(counters)]
    _leave(engine.main)


def _leave(main: Callable[[], int | None]) -> NoReturn:
    """Be a program and end as one, but leave it to the system to clear away what was loaded."""
    try:
        code = main() or 0
    except Exception as error:  # noqa: BLE001 - as an interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an interpreter does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120  # as an interpreter says it
    os._exit(code)


if __name__ == "__main__":
    _preload()
    gc.freeze()
    if asked := _Nursery(socket.socket(fileno=int(sys.argv[1]))).serve():
        _become(asked)
