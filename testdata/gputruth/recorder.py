"""The agent as a child that records, and what it cost."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Optional


class Failed(Exception):
    """What a person must be told; the run ends with it."""


def check_agent(agent: str) -> None:
    """Fails if the agent is no program."""
    if not os.path.isfile(agent) or not os.access(agent, os.X_OK):
        raise Failed(f"{agent} is not a program; build it first (make build) or name it with --agent")


class Recorder:
    """`flopwatch-agent record` into a folder, until it is stopped.

    `user` runs it as another user, which only root can do.
    """

    def __init__(self, agent: str, out: Path, period: str, library: Optional[str] = None, user: Optional[str] = None) -> None:
        self.out = out
        self.usage: Optional[resource.struct_rusage] = None
        self._log = tempfile.TemporaryFile("w+")
        command = [os.path.abspath(agent), "record", "--out", str(out), "--period", period]
        if library:
            command += ["--library", library]
        as_user: dict[str, Any] = {"user": user, "group": user_group(user), "extra_groups": []} if user else {}
        # In a group of its own: an interrupt at the terminal is for the caller to pass on.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True, **as_user)

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """What the agent printed so far."""
        self._log.seek(0)
        return self._log.read().strip()

    def wait_started(self, seconds: float = 60.0) -> None:
        """Returns once the agent records."""
        if not self._until(lambda: self._ended() or "recording " in self.said(), seconds):
            self.kill()
            raise Failed(f"the agent did not start to record in {seconds:.0f} s: {self.said() or 'it said nothing'}")
        if self._ended():
            raise Failed(f"the agent does not record: {self.said() or 'it ended without a word'}")

    def stop(self, seconds: float = 60.0) -> resource.struct_rusage:
        """Interrupts the agent, waits for it, and returns what it and its children
        used."""
        if not self._ended():
            self._process.send_signal(signal.SIGINT)
        if not self._until(self._ended, seconds):
            self.kill()
            raise Failed(f"the agent did not end in {seconds:.0f} s after an interrupt; it was killed")
        if self._process.returncode != 0:
            raise Failed(f"the agent failed while recording into {self.out}: {self.said()}")
        assert self.usage is not None
        return self.usage

    def kill(self) -> None:
        """Ends the agent if it still runs."""
        if not self._ended():
            self._process.kill()
            self._until(self._ended, 10)

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._log.close()

    def _ended(self) -> bool:
        if self._process.returncode is not None:
            return True
        pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return False
        self._process.returncode, self.usage = os.waitstatus_to_exitcode(status), usage
        return True

    @staticmethod
    def _until(done: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def user_group(user: str) -> int:
    """The first group of a user."""
    import pwd

    return pwd.getpwnam(user).pw_gid


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):  # it has ended meanwhile
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def memory_kb(pid: int) -> Optional[dict[str, int]]:
    """Resident and proportional memory of a process, None if it cannot be read."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return None
    fields = (line.partition(":") for line in text.splitlines())
    return {name: int(rest.split()[0]) for name, _, rest in fields if name in ("Rss", "Pss")}


def ran_seconds(pids: list[int]) -> float:
    """Processor time of processes so far, by the scheduler's account."""
    done = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                done += int(task.read_text().split()[0])
            except (OSError, IndexError, ValueError):  # it has ended meanwhile, or the kernel keeps none
                continue
    return done / 1e9
