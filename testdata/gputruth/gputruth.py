#!/usr/bin/env python3
"""Runs workloads of exactly counted operations on a GPU while the agent records.

  plan      print the workloads and their counts; needs nothing
  selftest  check counts, recorder and files without a GPU; needs nothing
  run       record each workload with its truth; needs a GPU, torch and the agent
  cost      measure the agent's processor time and memory; needs a GPU and the agent

The recordings become ordinary tests: TestRecordedTruth holds each against the
counted truth beside it. See docs/gpu-truth.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Optional

sys.dont_write_bytecode = True  # the folder holds sources only

import captured
import cost
import drive
import workloads
from recorder import Failed, Recorder, check_agent
from workloads import Workload

HERE = Path(__file__).resolve().parent


class NotHere(Exception):
    """A workload that this device or this torch cannot run."""


class Driver:
    """A process that runs a workload when it is told to."""

    def __init__(self, name: Optional[str], seconds: float = 0, lead: float = 0) -> None:
        command = [sys.executable, "-B", str(HERE / "drive.py")]
        if name:
            command += [name, "--seconds", str(seconds), "--lead", str(lead)]
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def line(self, seconds: float) -> Any:
        """The next line of JSON that it says, waiting no longer than so."""
        assert self._process.stdout is not None
        watch = threading.Timer(seconds, self._process.kill)
        watch.start()
        text = self._process.stdout.readline()
        watch.cancel()
        if text:
            return json.loads(text)
        status = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read().strip() or f"it ended with status {status} and without a word"
        if status == drive.NOT_HERE:
            raise NotHere(said)
        raise Failed(said)

    def go(self) -> None:
        """Tells it to run the workload."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


START_S = 600.0  # torch may compile kernels


def truth(workload: Workload, ran: list[dict[str, int]], about: dict[str, str], driver: str) -> dict[str, Any]:
    """The content of truth.json."""
    calls = sum(r["calls"] for r in ran)
    count = workload.count.times(calls)
    content: dict[str, Any] = {
        "workload": workload.name,
        "precision": workload.precision,
        "precision_known": workload.precision_known,
        "source": "measured",
        "start_ns": min(r["start_ns"] for r in ran),
        "end_ns": max(r["end_ns"] for r in ran),
        "operations": str(count.low),
        "operations_low": str(count.low),
        "operations_high": str(count.high),
        "executed_max": str(count.most),
        "calls": calls,
        "note": workload.note,
        "torch": about["torch"],
        "driver": driver,
        "device_name": about["device_name"],
    }
    if len(ran) > 1:
        content["processes"] = [{**r, "operations": str(workload.count.times(r["calls"]).low)} for r in ran]
    return content


def record(workload: Workload, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Records a workload into a folder, with its truth beside it.

    The processes have compiled, chosen and warmed up everything before the agent
    starts, so that the recording holds what is counted and idleness, nothing else.
    """
    drivers = [Driver(workload.name, args.seconds, args.lead) for _ in range(workload.processes)]
    try:
        about = [d.line(START_S) for d in drivers][0]
        with Recorder(args.agent, folder, args.period, args.library) as recorder:
            recorder.wait_started()
            for d in drivers:
                d.go()
            ran = [d.line(args.lead + args.seconds + START_S) for d in drivers]
            time.sleep(args.lead)
            recorder.stop()
    finally:
        for d in drivers:
            d.__exit__()
    content = truth(workload, ran, about, captured.read(folder).driver)
    (folder / "truth.json").write_text(json.dumps(content, indent=2) + "\n")
    return content


def summary(folder: Path, content: dict[str, Any]) -> str:
    """One line on what the device did and said."""
    c = captured.read(folder)
    seconds = (content["end_ns"] - content["start_ns"]) / 1e9
    pipes = ", ".join(f"{name} {share:.3f}" for name, share in c.activity(content["start_ns"], content["end_ns"]).items())
    rate = int(content["operations"]) / seconds
    return f"{content['calls']} calls in {seconds:.1f} s, {rate:.4g} operations/s; {pipes or 'no pipe activity'}; {c.meaning()}"


def others() -> str:
    """Processes that hold a GPU already, "" if there are none or nobody tells."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ", ".join(line.strip() for line in done.stdout.splitlines() if line.strip().isdigit())


def chosen(only: Optional[str]) -> list[Workload]:
    """All workloads, or the one of a name."""
    if only is None:
        return workloads.plan()
    workload = workloads.named(only)
    if workload is None:
        raise Failed(f"no workload is called {only}; `plan` lists them")
    return [workload]


def run(args: argparse.Namespace) -> None:
    """Records every workload that is not recorded yet."""
    check_agent(args.agent)
    picked = chosen(args.only)
    with Driver(None) as probe:
        about = probe.line(START_S)
    print(f"torch {about['torch']}, {about['device_name']}", flush=True)
    if pids := others():
        print(f"gputruth: other processes hold a GPU of this host (pid {pids}); what they do is counted as well", file=sys.stderr)
    root = Path(args.out)
    root.mkdir(parents=True, exist_ok=True)
    recorded = skipped = 0
    for workload in picked:
        target = root / workload.name
        if target.exists():
            print(f"{workload.name}: is recorded already; remove {target} to record it anew", flush=True)
            recorded += 1
            continue
        # Complete or not there: a run that breaks off leaves no half recording.
        with tempfile.TemporaryDirectory(prefix=".gputruth-", dir=root) as partial:
            try:
                content = record(workload, args, Path(partial) / "recording")
            except NotHere as error:
                print(f"{workload.name}: not run here: {error}", flush=True)
                skipped += 1
                continue
            except Failed as error:
                raise Failed(f"{workload.name}: {error}") from None
            shutil.move(str(Path(partial) / "recording"), target)
        recorded += 1
        print(f"{workload.name}: {summary(target, content)}", flush=True)
    print(f"{recorded} workloads recorded, {skipped} cannot run here")
    if recorded == 0:
        raise Failed("nothing could be recorded")


def measure_cost(args: argparse.Namespace) -> None:
    """Prints what recording costs."""
    check_agent(args.agent)
    cost.run(args.agent, args.library, args.seconds, Path(args.out) if args.out else None)


def plan(_: argparse.Namespace) -> None:
    """Prints the table of workloads."""
    print(f"{'workload':34} {'precision':9} {'operations per call':>20} {'high':>20} {'executed at most':>20}")
    for w in workloads.plan():
        print(f"{w.name:34} {w.precision:9} {w.count.low:20} {w.count.high:20} {w.count.most:20}")


def selftest(_: argparse.Namespace) -> None:
    """Runs the tests that need no GPU."""
    import unittest

    suite = unittest.defaultTestLoader.loadTestsFromName("test_gputruth")
    if not unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(suite).wasSuccessful():
        sys.exit(1)


def positive(text: str) -> float:
    """A number above zero."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("plan", help="print the workloads and their counts").set_defaults(function=plan)
    commands.add_parser("selftest", help="check what can be checked without a GPU").set_defaults(function=selftest)
    recording = commands.add_parser("run", help="record each workload with its truth")
    recording.set_defaults(function=run)
    recording.add_argument("--out", default="testdata/recordings", help="folder for the recordings")
    recording.add_argument("--seconds", type=positive, default=20.0, help="how long each workload runs")
    recording.add_argument("--lead", type=positive, default=3.0, help="seconds of idleness before and after")
    recording.add_argument("--period", default="1s", help="time between samples")
    recording.add_argument("--only", metavar="NAME", help="only this workload")
    costing = commands.add_parser("cost", help="measure the agent's processor time and memory")
    costing.set_defaults(function=measure_cost)
    costing.add_argument("--seconds", type=positive, default=60.0, help="how long each period is measured")
    costing.add_argument("--out", help="folder that keeps the recordings; without it they are thrown away")
    for command in (recording, costing):
        command.add_argument("--agent", default="bin/flopwatch-agent")
        command.add_argument("--library", help="libnvidia-ml, where it is in no usual place")
    return parser


def main() -> None:
    args = arguments().parse_args()
    try:
        args.function(args)
    except (Failed, OSError) as error:
        print(f"gputruth: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("gputruth: interrupted; what was recorded stays, and run goes on with the rest", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
