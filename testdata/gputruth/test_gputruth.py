"""Tests that need no GPU: counts against brute force, the plan, recordings, and a
run with stand-ins for torch and the agent. `gputruth.py selftest` runs them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import captured
import cost
import counts
import workloads
from counts import Attention, Count, Transformer
from recorder import Failed, Recorder, descendants

HERE = Path(__file__).resolve().parent


def brute_matmul(m: int, n: int, k: int) -> int:
    """Operations of a product, one by one."""
    done = 0
    for _ in range(m):
        for _ in range(n):
            for _ in range(k):
                done += 2
    return done


def brute_scores(length: int, causal: bool, block: int) -> tuple[int, int]:
    """Scores that are needed, and scores of all blocks that hold a needed one."""
    needed = {(i, j) for i in range(length) for j in range(length) if j <= i or not causal}
    blocks = {(i // block, j // block) for i, j in needed}
    return len(needed), len(blocks) * block * block


class CountsTest(unittest.TestCase):
    def test_matmul(self) -> None:
        for m, n, k in [(1, 1, 1), (3, 5, 7), (16, 1, 9), (1, 30, 2)]:
            self.assertEqual(counts.matmul(m, n, k), brute_matmul(m, n, k))

    def test_padding(self) -> None:
        with mock.patch.multiple(counts, TILE_M=4, TILE_N=4, TILE_K=2):
            self.assertEqual(counts.product(5, 4, 3), Count(brute_matmul(5, 4, 3), brute_matmul(5, 4, 3), brute_matmul(8, 4, 4)))
        self.assertEqual(counts.product(256, 512, 128), Count.exact(brute_matmul(1, 1, 1) * 256 * 512 * 128))

    def test_attention(self) -> None:
        for causal in (False, True):
            for length, width, block in [(1, 1, 1), (4, 3, 2), (7, 8, 3), (8, 2, 4), (9, 1, 16)]:
                with mock.patch.object(counts, "BLOCK", block):
                    needed, computed = brute_scores(length, causal, block)
                    per_score = brute_matmul(1, 1, width)
                    a = Attention(2, 3, length, width, causal)
                    for count, products in ((a.forward(), 2), (a.backward(), 5)):
                        each = 2 * 3 * products * per_score
                        self.assertEqual((count.low, count.most), (each * needed, each * computed), a)
                        self.assertLessEqual(count.low, count.high)
                        self.assertLessEqual(count.high, count.most)
                        self.assertLessEqual(count.high, each * length * length)

    def test_step_is_6nd_and_attention(self) -> None:
        model = Transformer(layers=2, width=8, heads=2, hidden=32, vocabulary=10)
        tokens, parameters = 3 * 4, 2 * 12 * 8 * 8 + 8 * 10
        a = model.attention(3, 4)
        plain, again = model.step(3, 4, False), model.step(3, 4, True)
        self.assertEqual(plain.low, 6 * parameters * tokens + 2 * (a.forward().low + a.backward().low))
        self.assertEqual(again.low - plain.low, 2 * model.layer_forward(3, 4).low)

    def test_times(self) -> None:
        self.assertEqual(Count(2, 4, 6).times(3, 2), Count(3, 6, 9))
        with self.assertRaises(AssertionError):
            Count(1, 2, 3).times(1, 2)


class PlanTest(unittest.TestCase):
    def test_plan(self) -> None:
        plan = workloads.plan()
        names = [w.name for w in plan]
        self.assertEqual(len(names), len(set(names)))
        for w in plan:
            self.assertRegex(w.name, re.compile(r"^[a-z0-9-]+$"))
            self.assertIn(w.precision, workloads.PRECISIONS)
            self.assertTrue(0 <= w.count.low <= w.count.high <= w.count.most, w.name)
            if w.count.most > w.count.low:
                self.assertTrue(w.note, f"{w.name}: an interval must say why")
        for precision in ("bf16", "fp16", "tf32", "fp32", "fp64", "fp8", "int8"):
            sizes = [w for w in plan if w.name.startswith(f"matmul-{precision}-")]
            self.assertTrue(any(w.count.most == w.count.low for w in sizes) and any(w.count.most > w.count.low for w in sizes), precision)
        for name in ("train-step-plain", "train-step-recompute", "memory-bound-add", "idle-with-weights", "two-processes-bf16"):
            self.assertIsNotNone(workloads.named(name))


class ModelTest(unittest.TestCase):
    """The model's products as torch dispatches them, where there is a torch."""

    def test_products(self) -> None:
        try:
            import torch
            from torch.utils._python_dispatch import TorchDispatchMode
        except ImportError:
            self.skipTest("no torch")
        import model

        shape, batch, length = Transformer(layers=2, width=8, heads=2, hidden=32, vocabulary=10), 3, 4

        def attend(q: Any, k: Any, v: Any) -> Any:
            mask = torch.full((length, length), float("-inf"), dtype=q.dtype).triu(1)
            return torch.softmax(q @ k.transpose(-1, -2) + mask, dim=-1) @ v

        class Counter(TorchDispatchMode):  # type: ignore[misc]
            done = 0

            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                out = func(*args, **(kwargs or {}))
                if func in (torch.ops.aten.mm.default, torch.ops.aten.bmm.default):
                    self.done += 2 * out.numel() * args[0].shape[-1]
                return out

        width = shape.width // shape.heads
        product = batch * shape.heads * counts.matmul(length, length, width)
        for recompute, products in ((False, 2 + 4), (True, 2 + 2 + 4)):
            call = model.step(torch, torch.device("cpu"), shape, batch, length, recompute, attend)
            with Counter() as counter:
                call()
            a = shape.attention(batch, length)
            kernels = a.forward() + a.backward() + (a.forward() if recompute else Count.exact(0))
            linear = shape.step(batch, length, recompute).low - shape.layers * kernels.low
            # This attention is dense and keeps its scores: four products backward.
            self.assertEqual(counter.done, linear + shape.layers * products * product, f"recompute {recompute}")


def rows(n: int, **columns: Any) -> list[dict[str, str]]:
    """Samples of one a second; a column is a value, or what it grows by."""
    return [{"time_ns": str(i * 10**9), **{c: str(v * i if c.startswith("cyc_") else v) for c, v in columns.items()}} for i in range(n)]


def samples(n: int, **columns: Any) -> captured.Captured:
    return captured.Captured({"name": "d", "sm_count": 132}, "", rows(n, **columns))


class CapturedTest(unittest.TestCase):
    def test_meaning(self) -> None:
        for c, want in (
            (samples(5, sm_clock_mean_mhz=1755), "no cycle counters"),
            (samples(5, cyc_sm_elapsed=1755 * 10**6), "no SM clock"),
            (samples(5, sm_clock_mean_mhz=1755, cyc_sm_elapsed=1755 * 10**6), "means over the SMs (elapsed / clock = 1.000)"),
            (samples(5, sm_clock_mhz=1755, cyc_sm_elapsed=132 * 1755 * 10**6), "sums over the SMs (elapsed / clock = 132.000)"),
            (samples(5, sm_clock_mhz=1755, cyc_sm_elapsed=10 * 1755 * 10**6), "neither"),
        ):
            self.assertIn(want, c.meaning())

    def test_activity(self) -> None:
        self.assertEqual(samples(5, hmma=0.5, imma="", fp32="NaN").activity(0, 4 * 10**9), {"hmma": 0.5})
        self.assertEqual(samples(5, cyc_sm_elapsed=1000, cyc_hmma=250).activity(0, 4 * 10**9), {"hmma": 0.25})
        self.assertEqual(samples(0).activity(0, 1), {})


AGENT = """#!/usr/bin/env python3
import gzip, json, os, signal, sys, time
mode, out = {mode!r}, sys.argv[sys.argv.index("--out") + 1]
if mode == "refuses":
    sys.exit("no device can be read")
if mode == "never starts":
    time.sleep(60)
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1) if mode != "does not end" else None)
os.makedirs(out, exist_ok=True)
with open(out + "/host.json", "w") as f:
    json.dump({{"host": "host", "driver": "1.2", "devices": [{{"uuid": "GPU-0", "name": "fake", "sm_count": 132}}]}}, f)
print("recording 1 devices every 1s; interrupt to end", file=sys.stderr, flush=True)
lines = ["time_ns,device,power_mw,sm_clock_mhz,hmma,cyc_sm_elapsed"]
for n in range(100000):
    if stop:
        break
    lines.append("%d,GPU-0,1000,1000,0.5,%d" % (time.time_ns(), time.time_ns()))
    time.sleep(0.02)
with gzip.open(out + "/samples.csv.gz", "wt") as f:
    f.write("\\n".join(lines) + "\\n")
sys.exit(mode == "fails at the end")
"""

TORCH = """
import sys, time
from unittest.mock import MagicMock
if {mode!r} == "missing":
    raise ImportError("no torch")
torch = MagicMock(__version__="0.0", __spec__=None)
torch.cuda.is_available.return_value = {mode!r} != "no device"
torch.cuda.get_device_name.return_value = "fake"
torch.cuda.synchronize.side_effect = lambda: time.sleep(0.002)
sys.modules["torch"] = torch
"""


class StandInTest(unittest.TestCase):
    """Tests with stand-ins for torch and the agent in a folder."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def agent(self, mode: str = "") -> str:
        path = self.folder / "agent"
        path.write_text(AGENT.format(mode=mode))
        path.chmod(0o755)
        return str(path)

    def gputruth(self, torch: str, *args: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "torch.py").write_text(TORCH.format(mode=torch))
        command = [sys.executable, "-B", str(HERE / "gputruth.py"), *args]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(self.folder)}, capture_output=True, text=True, timeout=120)

    def run_only(self, name: str, torch: str = "", agent: str = "") -> subprocess.CompletedProcess[str]:
        self.out = self.folder / "out"
        return self.gputruth(torch, "run", "--agent", self.agent(agent), "--out", str(self.out), "--only", name, "--seconds", "0.2", "--lead", "0.4")


class RecorderTest(StandInTest):
    def test_faults(self) -> None:
        for mode, want in (("refuses", "no device can be read"), ("never starts", "did not start"), ("does not end", "was killed"), ("fails at the end", "failed while recording")):
            with self.assertRaisesRegex(Failed, want), Recorder(self.agent(mode), self.folder / "r", "1s") as recorder:
                recorder.wait_started(1.0 if mode == "never starts" else 30.0)
                recorder.stop(0.5 if mode == "does not end" else 30.0)
            self.assertIsNotNone(recorder._process.returncode, f"{mode}: the agent still runs")

    def test_descendants(self) -> None:
        with Recorder(self.agent(), self.folder / "r", "1s") as recorder:
            recorder.wait_started()
            self.assertEqual(descendants(recorder.pid), [recorder.pid])
            self.assertGreater(recorder.stop().ru_maxrss, 0)

    def test_cost(self) -> None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), mock.patch.object(cost, "ORDINARY_S", 0.2):
            for _ in range(2):  # the second replaces the recordings of the first
                cost.run(self.agent(), None, 0.3, self.folder / "kept")
        for want in ("period 1s", "period 100ms", "% of a core while it records", "MiB PSS", "cyc_* columns: cyc_sm_elapsed", "means over the SMs", "GPM): yes", "ordinary user: "):
            self.assertIn(want, said.getvalue())
        self.assertTrue((self.folder / "kept" / "cost-100ms" / "samples.csv.gz").exists())


class RunTest(StandInTest):
    def test_two_processes(self) -> None:
        done = self.run_only("two-processes-bf16")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("means over the SMs", done.stdout)
        folder = self.out / "two-processes-bf16"
        truth = json.loads((folder / "truth.json").read_text())
        self.assertEqual(len(truth["processes"]), 2)
        self.assertEqual(sum(int(p["operations"]) for p in truth["processes"]), int(truth["operations"]))
        self.assertEqual(int(truth["operations"]), truth["calls"] * counts.matmul(4096, 4096, 4096))
        self.assertEqual((truth["driver"], truth["torch"], truth["device_name"], truth["source"]), ("1.2", "0.0", "fake", "measured"))
        c = captured.read(folder)
        self.assertLess(int(c.rows[0]["time_ns"]), truth["start_ns"])
        self.assertLess(truth["start_ns"], truth["end_ns"])
        self.assertLess(truth["end_ns"], int(c.rows[-1]["time_ns"]))
        self.assertEqual([p.name for p in self.out.iterdir()], ["two-processes-bf16"])
        again = self.run_only("two-processes-bf16")
        self.assertEqual(again.returncode, 0)
        self.assertIn("is recorded already", again.stdout)

    def test_nothing_is_left_of_a_failed_run(self) -> None:
        done = self.run_only("idle-with-weights", agent="fails at the end")
        self.assertEqual(done.returncode, 1)
        self.assertIn("failed while recording", done.stderr)
        self.assertEqual(list(self.out.iterdir()), [])

    def test_what_cannot_run_here_is_said(self) -> None:
        done = self.run_only("attention-flash-full-forward")  # the stand-in has no kernels to choose from
        self.assertEqual(done.returncode, 1)
        self.assertIn("not run here: RuntimeError: this torch cannot be told", done.stdout)
        self.assertIn("nothing could be recorded", done.stderr)

    def test_what_is_missing_is_said(self) -> None:
        for torch, want in (("missing", "PyTorch is not installed"), ("no device", "sees no CUDA device")):
            done = self.run_only("idle-with-weights", torch=torch)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, f"^gputruth: .*{want}")
        for args, want in (
            (("run", "--agent", "nowhere"), "nowhere is not a program"),
            (("run", "--agent", self.agent(), "--only", "x"), "no workload is called x"),
            (("cost", "--agent", "nowhere"), "nowhere is not a program"),
            (("cost", "--agent", self.agent("refuses")), "no device can be read"),
        ):
            done = self.gputruth("", *args)
            self.assertEqual(done.returncode, 1)
            self.assertIn(want, done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    unittest.main()
