"""Reads what a recording says of the device: which readings it has, what the cycle
counters mean, and which pipes moved."""

from __future__ import annotations

import csv
import gzip
import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

PIPES = ("sm_active", "hmma", "imma", "dfma", "dmma", "fp64", "fp32", "fp16")


@dataclass
class Captured:
    """The samples of one device of a recording."""

    device: dict[str, Any]
    driver: str
    rows: list[dict[str, str]]

    def has(self, column: str) -> bool:
        """Whether any sample has a value."""
        return any(row.get(column) for row in self.rows)

    def counters(self) -> list[str]:
        """The cumulative cycle counters that are there."""
        return [c for c in (self.rows[0] if self.rows else {}) if c.startswith("cyc_") and self.has(c)]

    def elapsed_over_clock(self) -> Optional[float]:
        """Growth of elapsed cycles per second over the SM clock: about 1 if the
        counter is a mean over the SMs, about their number if it is a sum. None
        without counter or clock."""
        ratios = []
        for a, b in zip(self.rows, self.rows[1:]):
            seconds = (int(b["time_ns"]) - int(a["time_ns"])) / 1e9
            clock = number(b, "sm_clock_mean_mhz") or number(b, "sm_clock_mhz")
            if seconds > 0 and clock and a.get("cyc_sm_elapsed") and b.get("cyc_sm_elapsed"):
                ratios.append((int(b["cyc_sm_elapsed"]) - int(a["cyc_sm_elapsed"])) / seconds / (clock * 1e6))
        return statistics.median(ratios) if ratios else None

    def meaning(self) -> str:
        """What the cycle counters are, in words."""
        ratio, sms = self.elapsed_over_clock(), int(self.device.get("sm_count") or 0)
        if not self.counters():
            return "no cycle counters"
        if ratio is None:
            return "cycle counters, but no elapsed cycles or no SM clock"
        for what, of in (("means over the SMs", 1), ("sums over the SMs", sms)):
            if of and 0.4 * of < ratio < 1.6 * of:
                return f"cycle counters are {what} (elapsed / clock = {ratio:.3f})"
        return f"cycle counters fit neither mean nor sum (elapsed / clock = {ratio:.3f}, {sms} SMs)"

    def activity(self, start_ns: int, end_ns: int) -> dict[str, float]:
        """Mean activity of each pipe over a time, by percentages or else counters."""
        inside = [row for row in self.rows if start_ns <= int(row["time_ns"]) <= end_ns]
        found: dict[str, float] = {}
        for pipe in PIPES:
            values = [v for v in (number(row, pipe) for row in inside) if v is not None]
            if values:
                found[pipe] = statistics.fmean(values)
            elif len(inside) > 1 and all(inside[i].get(c) for i in (0, -1) for c in ("cyc_" + pipe, "cyc_sm_elapsed")):
                elapsed = int(inside[-1]["cyc_sm_elapsed"]) - int(inside[0]["cyc_sm_elapsed"])
                if elapsed > 0:
                    found[pipe] = (int(inside[-1]["cyc_" + pipe]) - int(inside[0]["cyc_" + pipe])) / elapsed
        return found


def number(row: dict[str, str], column: str) -> Optional[float]:
    """A reading, None if it is not there or not finite."""
    text = row.get(column)
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def read(folder: Path) -> Captured:
    """Reads a recording; of several devices, the one that drew the most energy."""
    host = json.loads((folder / "host.json").read_text())
    path = folder / "samples.csv.gz"
    opened = gzip.open(path, "rt", newline="") if path.exists() else open(folder / "samples.csv", newline="")
    by_device: dict[str, list[dict[str, str]]] = {d["uuid"]: [] for d in host["devices"]}
    with opened as f:
        for row in csv.DictReader(f):
            by_device[row["device"]].append(row)
    busiest = max(host["devices"], key=lambda d: sum(number(row, "power_mw") or 0 for row in by_device[d["uuid"]]))
    return Captured(busiest, host.get("driver", ""), by_device[busiest["uuid"]])
