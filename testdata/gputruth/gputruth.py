#!/usr/bin/env python3
"""Runs workloads of exactly counted operations on a GPU while the agent records.

  plan      print the workloads and their counts; needs nothing
  selftest  check the counts against brute force; needs nothing
  run       record each workload with its truth; needs a GPU, torch and the agent
  cost      measure the agent's processor time and memory; needs a GPU and the agent

The recordings become ordinary tests: TestRecordedTruth holds each against the
counted truth beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, NoReturn

import counts
import workloads
from workloads import Workload

LEAD_S = 3.0  # idle before and after, so that the edges of windows cost nothing


def fail(message: str) -> NoReturn:
    print(f"gputruth: {message}", file=sys.stderr)
    sys.exit(1)


def load_torch() -> Any:
    try:
        import torch
    except ImportError:
        fail("PyTorch is not installed here; `plan` and `selftest` need none")
    if not torch.cuda.is_available():
        fail("PyTorch sees no CUDA device")
    return torch


def drive(torch: Any, workload: Workload, seconds: float, ready: Callable[[], None]) -> dict[str, int]:
    """Calls the workload for a time and returns calls, start and end (Unix ns).

    `ready` is called when everything is warm: what ran before is not in the truth.
    """
    device = torch.device("cuda", 0)
    call = workload.build(torch, device)
    for _ in range(2):  # compile and choose kernels outside of what is counted
        call()
    torch.cuda.synchronize()
    ready()
    time.sleep(LEAD_S)
    start, calls = time.time_ns(), 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(4):
            call()
        calls += 4
        torch.cuda.synchronize()
    end = time.time_ns()
    time.sleep(LEAD_S)
    return {"calls": calls, "start_ns": start, "end_ns": end}


class Recorder:
    """The agent, recording into a folder until it is stopped."""

    def __init__(self, args: argparse.Namespace, out: Path, period: str) -> None:
        self.out = out
        command = [args.agent, "record", "--out", str(out), "--period", period]
        if args.library:
            command += ["--library", args.library]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        if not line.startswith("recording"):
            fail(f"the agent does not record: {line.strip() or 'it ended'}")

    def stop(self) -> Any:
        self.process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(self.process.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            fail(f"the agent failed while recording into {self.out}")
        return usage


def record(torch: Any, workload: Workload, args: argparse.Namespace) -> None:
    out = Path(args.out) / workload.name
    print(f"{workload.name} …", flush=True)
    recorders: list[Recorder] = []

    def begin() -> None:
        recorders.append(Recorder(args, out, args.period))

    if workload.processes == 1:
        ran = [drive(torch, workload, args.seconds, begin)]
    else:
        command = [sys.executable, __file__, "drive", "--only", workload.name, "--seconds", str(args.seconds)]
        running = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workload.processes)]
        for process in running:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                fail(f"{workload.name}: a process failed before it was warm")
        begin()
        ran = [json.loads(out_) for out_ in together(running)]
    recorder = recorders[0]
    recorder.stop()
    calls = sum(r["calls"] for r in ran)
    count = workload.count.times(calls)
    truth = {
        "workload": workload.name,
        "precision": workload.precision,
        "precision_known": workload.precision_known,
        "source": "measured",
        "start_ns": min(r["start_ns"] for r in ran),
        "end_ns": max(r["end_ns"] for r in ran),
        "operations": str(count.low),
        "operations_low": str(count.low),
        "operations_high": str(count.high),
        "executed_max": str(count.high),
        "calls": calls,
        "torch": torch.__version__,
        "device_name": torch.cuda.get_device_name(0),
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")


def together(running: list[subprocess.Popen[str]]) -> list[str]:
    """Lets warm processes go at the same time and returns what each says."""
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        fail("a process failed while it was recorded")
    return said


def chosen(only: str | None) -> list[Workload]:
    all_ = workloads.plan()
    if only is None:
        return all_
    picked = [w for w in all_ if w.name == only]
    if not picked:
        fail(f"no workload is called {only}; `plan` lists them")
    return picked


def run(args: argparse.Namespace) -> None:
    if not os.access(args.agent, os.X_OK):
        fail(f"{args.agent} is not a program; build it first")
    torch = load_torch()
    for workload in chosen(args.only):
        try:
            record(torch, workload, args)
        except RuntimeError as error:  # a kernel that this device or torch lacks
            print(f"  not run: {error}", file=sys.stderr)


def cost(args: argparse.Namespace) -> None:
    for period in ("1s", "100ms"):
        out = Path(args.out) / f"cost-{period}"
        recorder = Recorder(args, out, period)
        time.sleep(args.seconds)
        memory = {}
        for pid in [recorder.process.pid, *children(recorder.process.pid)]:
            memory[pid] = rollup(pid)
        usage = recorder.stop()
        spent = usage.ru_utime + usage.ru_stime
        print(f"period {period}: {100 * spent / args.seconds:.3f} % of a core, memory (kB, RSS and PSS) {memory}")


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def rollup(pid: int) -> dict[str, int]:
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            fields[name] = int(rest.split()[0])
    return fields


def plan(_: argparse.Namespace) -> None:
    print(f"{'workload':40} {'precision':9} {'operations per call':>24} {'with padding, masked blocks':>28}")
    for w in workloads.plan():
        print(f"{w.name:40} {w.precision:9} {w.count.low:24} {w.count.high:28}")


def brute_matmul(m: int, n: int, k: int) -> int:
    done = 0
    for _ in range(m):
        for _ in range(n):
            for _ in range(k):
                done += 2
    return done


def brute_causal(length: int, width: int) -> int:
    """Operations of both products of one causal head, the masked ones left out."""
    done = 0
    for i in range(length):
        for _ in range(i + 1):
            done += 2 * width  # one score
            done += 2 * width  # its share of one row of the result
    return done


def selftest(_: argparse.Namespace) -> None:
    for m, n, k in [(1, 1, 1), (3, 5, 7), (16, 1, 9)]:
        assert counts.matmul(m, n, k) == brute_matmul(m, n, k), (m, n, k)
        assert counts.padded(m, n, k) >= counts.matmul(m, n, k)
    assert counts.padded(256, 256, 128) == counts.matmul(256, 256, 128)
    for length, width in [(1, 1), (4, 3), (7, 8)]:
        got = counts.attention_forward(2, 3, length, width, True)
        assert got.low == 2 * 3 * brute_causal(length, width), (length, width)
        assert got.low <= got.high == counts.attention_forward(2, 3, length, width, False).low
    model = counts.Transformer(layers=2, width=8, heads=2, hidden=32, vocabulary=10)
    tokens = 3 * 4
    parameters = 12 * 8 * 8 * 2 + 8 * 10
    attention = counts.attention_forward(3, 2, 4, 4, True)
    plain = model.step(3, 4, False)
    assert plain.low == 6 * parameters * tokens + 2 * (attention.low + attention.low * 5 // 2), "6ND and attention"
    again = model.step(3, 4, True)
    assert again.low - plain.low == 2 * model.layer_forward(3, 4).low, "recomputation is one more forward"
    names = [w.name for w in workloads.plan()]
    assert len(names) == len(set(names)) and all(w.count.low <= w.count.high for w in workloads.plan())
    print(f"selftest: {len(names)} workloads, counts agree with brute force")


def drive_one(args: argparse.Namespace) -> None:
    def ready() -> None:
        print("ready", flush=True)
        sys.stdin.readline()

    print(json.dumps(drive(load_torch(), chosen(args.only)[0], args.seconds, ready)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("plan", plan), ("selftest", selftest), ("run", run), ("cost", cost), ("drive", drive_one)):
        sub = commands.add_parser(name)
        sub.set_defaults(function=function)
        sub.add_argument("--agent", default="bin/flopwatch-agent")
        sub.add_argument("--out", default="testdata/recordings")
        sub.add_argument("--seconds", type=float, default=20.0)
        sub.add_argument("--period", default="1s")
        sub.add_argument("--only")
        sub.add_argument("--library", help="libnvidia-ml, where it is in no usual place")
    args = parser.parse_args()
    args.function(args)


if __name__ == "__main__":
    main()
