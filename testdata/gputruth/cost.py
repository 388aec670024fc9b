"""What recording costs, and what the device lets an ordinary user read."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Optional

import captured
from recorder import Failed, Recorder, descendants, memory_kb, ran_seconds

PERIODS = ("1s", "100ms")
ORDINARY = "nobody"
ORDINARY_S = 4.5  # enough for averages between samples
PROFILING = Path("/proc/driver/nvidia/params")


def measure(agent: str, library: Optional[str], period: str, out: Path, seconds: float) -> captured.Captured:
    """Records for a time and prints what it cost."""
    with Recorder(agent, out, period, library) as recorder:
        recorder.wait_started()
        pids, began = descendants(recorder.pid), time.monotonic()
        before = ran_seconds(pids)
        time.sleep(seconds)
        steady, lasted = ran_seconds(pids) - before, time.monotonic() - began
        memory = {pid: memory_kb(pid) for pid in pids}
        usage = recorder.stop()
    print(f"period {period}: {100 * steady / lasted:.3f} % of a core while it records ({lasted:.0f} s)")
    print(f"  with start and end: {usage.ru_utime + usage.ru_stime:.3f} CPU s; largest process: {usage.ru_maxrss / 1024:.1f} MiB RSS at most")
    for pid, kb in memory.items():
        name = "agent" if pid == recorder.pid else "its child"
        print(f"  {name}: " + (f"{kb['Rss'] / 1024:.1f} MiB RSS, {kb['Pss'] / 1024:.1f} MiB PSS" if kb else "memory cannot be read"))
    if all(memory.values()):
        print(f"  together: {sum(kb['Pss'] for kb in memory.values() if kb) / 1024:.1f} MiB PSS")
    return captured.read(out)


def describe(c: captured.Captured) -> None:
    """Prints which readings there were."""
    present = c.counters()
    print(f"device {c.device['name']}, driver {c.driver or 'not known'}, {len(c.rows)} samples")
    print(f"  cyc_* columns: {', '.join(present) if present else 'none'}")
    print(f"  {c.meaning()}")
    print(f"  pipe percentages (GPM): {'yes' if c.has('sm_active') or c.has('hmma') else 'no'}")


def ordinary_user(agent: str, library: Optional[str], folder: Path) -> str:
    """Says whether pipe activity can be read without privileges."""
    user = None
    if os.geteuid() == 0:
        user, reachable = ORDINARY, folder / "agent"
        # The agent, its folder and the library may lie where only root gets to.
        folder.chmod(0o755)
        shutil.copy(agent, reachable)
        reachable.chmod(0o755)
        agent = str(reachable)
        if library:
            library = shutil.copy(library, folder / "libnvidia-ml.so")
            os.chmod(library, 0o755)
    out = folder / "ordinary"
    out.mkdir()
    if user:
        shutil.chown(out, user)
    try:
        with Recorder(agent, out, "1s", library, user) as recorder:
            recorder.wait_started()
            time.sleep(ORDINARY_S)
            recorder.stop()
        c = captured.read(out)
    except (Failed, OSError, LookupError) as error:
        return f"could not be tried: {error}"
    who = f"user {user}" if user else f"uid {os.geteuid()}"
    percentages, counters = c.has("sm_active") or c.has("hmma"), bool(c.counters())
    return f"as {who}: GPM {'' if percentages else 'not '}readable, cycle counters {'' if counters else 'not '}readable"


def profiling_setting() -> str:
    """Whether the driver keeps profiling for administrators."""
    try:
        lines = PROFILING.read_text().splitlines()
    except OSError:
        return "not known"
    return next((line.strip() for line in lines if line.startswith("RmProfilingAdminOnly")), "not known")


def keep(recording: Path, out: Path) -> None:
    """Moves a recording to where it was asked for, in place of an earlier one."""
    out.mkdir(parents=True, exist_ok=True)
    if (out / recording.name / "host.json").exists():
        shutil.rmtree(out / recording.name)
    shutil.move(str(recording), out / recording.name)


def run(agent: str, library: Optional[str], seconds: float, out: Optional[Path]) -> None:
    """Measures each period, then describes the readings; out keeps the recordings."""
    with tempfile.TemporaryDirectory(prefix="gputruth-") as name:
        folder = Path(name)
        recordings = [folder / f"cost-{period}" for period in PERIODS]
        said = [measure(agent, library, *each, seconds) for each in zip(PERIODS, recordings)]
        describe(said[0])
        if out:
            for recording in recordings:
                keep(recording, out)
        print(f"ordinary user: {ordinary_user(agent, library, folder)}")
        print(f"driver setting: {profiling_setting()}")
