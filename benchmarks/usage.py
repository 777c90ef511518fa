"""What a process uses: CPU time and memory, as the kernel counts them."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from types import TracebackType


def resident_kib(pid: int) -> int:
    """Memory of a process in KiB, shared pages included."""
    return _field(Path(f"/proc/{pid}/status"), "VmRSS")


def own_kib(pid: int) -> int:
    """Memory of a process in KiB that it shares with nobody (USS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    return _field(rollup, "Private_Clean") + _field(rollup, "Private_Dirty")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's threads. From schedstat: the ticks of /proc/PID/stat are too coarse for a burst."""
    return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def tcp_buffers_mib() -> float:
    """Memory that the kernel holds for all TCP sockets of the machine, in MiB."""
    match = re.search(r"^TCP:.* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    assert match is not None
    return int(match.group(1)) * 4096 / 2**20


def tcp_queued_bytes(port: int) -> tuple[int, int]:
    """Bytes in the kernel on their way to this port of 127.0.0.1: not read by the server, not taken from senders."""
    wanted = f"{port:04X}"
    unread = unsent = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, *_ = line.split()
        sending, receiving = queues.split(":")
        if state != "01":  # only what is established: of a listening socket these are counts of connections
            continue
        if local.endswith(f":{wanted}"):
            unread += int(receiving, 16)
        elif remote.endswith(f":{wanted}"):
            unsent += int(sending, 16)
    return unread, unsent


class Watch:
    """CPU and memory of some processes over a stretch of time, memory looked at every 50 ms.

    Args:
        pids: The processes by role.

    Attributes:
        seconds: How long it lasted.
        cpu: Share of one core by role, 1.0 for all of it.
        first, most, last: Resident memory in MiB by role.
    """

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self._cpu_before: dict[str, float] = {}
        self._begun = 0.0
        self.seconds = 0.0
        self.cpu: dict[str, float] = {}
        self.first: dict[str, float] = {}
        self.most: dict[str, float] = {}
        self.last: dict[str, float] = {}

    def __enter__(self) -> Watch:
        self._cpu_before = {role: cpu_seconds(pid) for role, pid in self._pids.items()}
        self.first = self._memory()
        self.most = dict(self.first)
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun
        self.cpu = {
            role: (cpu_seconds(pid) - self._cpu_before[role]) / self.seconds for role, pid in self._pids.items()
        }
        self.last = self._memory()
        self._keep_most(self.last)

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self._keep_most(self._memory())

    def _memory(self) -> dict[str, float]:
        return {role: resident_kib(pid) / 1024 for role, pid in self._pids.items()}

    def _keep_most(self, memory: dict[str, float]) -> None:
        for role, size in memory.items():
            self.most[role] = max(self.most[role], size)


def _field(file: Path, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    assert match is not None
    return int(match.group(1))
