#!/usr/bin/env python3
"""Drives one workload on a GPU, in a process of its own. Started by gputruth.py.

Prints one line of JSON when the workload is ready, waits for a line on standard
input, runs the workload for a time, prints one line with what it did, and stays
until standard input ends, so that the device still holds its memory meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any, Callable, NoReturn

import workloads

NO_DEVICE = 2  # exit status: nothing can run here
NOT_HERE = 3  # exit status: this workload cannot run here
CHUNK_S = 0.05  # calls are queued for about so long before they are waited for


def fail(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(status)


def load_torch() -> Any:
    """torch with a device, or an end that says what is missing."""
    try:
        import torch
    except ImportError:
        fail("PyTorch is not installed for this Python; `plan` and `selftest` need none", NO_DEVICE)
    if not torch.cuda.is_available():
        fail("PyTorch sees no CUDA device", NO_DEVICE)
    return torch


def facts(torch: Any) -> dict[str, str]:
    return {"torch": str(torch.__version__), "device_name": str(torch.cuda.get_device_name(0))}


def warm_up(torch: Any, call: Callable[[], Any]) -> int:
    """Makes torch choose and compile kernels, and returns how many calls fill a
    chunk."""
    for _ in range(2):
        call()
    torch.cuda.synchronize()
    begin = time.monotonic()
    call()
    torch.cuda.synchronize()
    return max(1, min(1000, int(CHUNK_S / max(time.monotonic() - begin, 1e-6))))


def loop(torch: Any, call: Callable[[], Any], chunk: int, seconds: float) -> dict[str, int]:
    """Calls for a time and returns calls, start and end (Unix ns)."""
    calls, start = 0, time.time_ns()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for _ in range(chunk):
            call()
        torch.cuda.synchronize()
        calls += chunk
    return {"calls": calls, "start_ns": start, "end_ns": time.time_ns()}


def tell(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="workload; without one, only say what device there is")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--lead", type=float, default=3.0, help="seconds of idleness before")
    args = parser.parse_args()
    torch = load_torch()
    if args.name is None:
        tell(facts(torch))
        return
    workload = workloads.named(args.name)
    if workload is None:
        fail(f"no workload is called {args.name}; `plan` lists them", NO_DEVICE)
    try:
        call = workload.build(torch, torch.device("cuda", 0))
        chunk = warm_up(torch, call)
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:  # a kernel or format that device or torch lacks
        fail(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}", NOT_HERE)
    tell(facts(torch))
    if not sys.stdin.readline():
        fail("nobody wants it to run", NOT_HERE)
    time.sleep(args.lead)
    tell(loop(torch, call, chunk, args.seconds))
    sys.stdin.read()


if __name__ == "__main__":
    main()
