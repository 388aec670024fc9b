"""What runs on the device, and how many operations each call is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable

import counts
from counts import Count


@dataclass(frozen=True)
class Workload:
    """A workload: its count per call, and how to make the call.

    `build` takes torch and a device and returns the call. `processes` is how many
    processes run it side by side.
    """

    name: str
    precision: str  # bf16 fp16 tf32 fp32 fp64 fp8 int8 none
    count: Count
    build: Callable[[Any, Any], Callable[[], Any]]
    processes: int = 1
    precision_known: bool = field(default=True)


SHAPES = [(8192, 8192, 8192), (4096, 4096, 4096), (16384, 4096, 1024), (4097, 4099, 4103), (8192, 64, 8192), (65536, 256, 256)]
SMALL = [(4096, 4096, 4096), (2049, 2051, 2053)]


def dense(dtype: str, m: int, n: int, k: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        kind = getattr(torch, dtype)
        a = torch.randn(m, k, device=device, dtype=torch.float32).to(kind)
        b = torch.randn(k, n, device=device, dtype=torch.float32).to(kind)
        out = torch.empty(m, n, device=device, dtype=kind)
        return lambda: torch.matmul(a, b, out=out)

    return build


def single(tf32: bool, m: int, n: int, k: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        return dense("float32", m, n, k)(torch, device)

    return build


def eight_bit_float(m: int, n: int, k: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        a = torch.randn(m, k, device=device).to(torch.float8_e4m3fn)
        b = torch.randn(n, k, device=device).to(torch.float8_e4m3fn).t()
        one = torch.ones((), device=device)
        return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return build


def eight_bit_integer(m: int, n: int, k: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        a = torch.randint(-8, 8, (m, k), device=device, dtype=torch.int8)
        b = torch.randint(-8, 8, (n, k), device=device, dtype=torch.int8).t()
        return lambda: torch._int_mm(a, b)

    return build


def attention(batch: int, heads: int, length: int, width: int, causal: bool, backward: bool) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        shape = (batch, heads, length, width)
        q, k, v = (torch.randn(shape, device=device, dtype=torch.bfloat16, requires_grad=backward) for _ in range(3))
        gradient = torch.randn(shape, device=device, dtype=torch.bfloat16)
        attend = torch.nn.functional.scaled_dot_product_attention

        def call() -> Any:
            out = attend(q, k, v, is_causal=causal)
            if backward:
                out.backward(gradient)
                q.grad = k.grad = v.grad = None
            return out

        return call

    return build


MODEL = counts.Transformer(layers=8, width=2048, heads=16, hidden=8192, vocabulary=32000)
BATCH, LENGTH = 8, 2048


def train_step(recompute: bool) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        import model  # needs torch

        return model.step(torch, device, MODEL, BATCH, LENGTH, recompute)

    return build


def copy_and_add(elements: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        a = torch.randn(elements, device=device)
        out = torch.empty_like(a)
        return lambda: torch.add(a, 1.0, out=out)

    return build


def hold_memory(elements: int) -> Callable[[Any, Any], Callable[[], Any]]:
    def build(torch: Any, device: Any) -> Callable[[], Any]:
        import time

        weights = torch.zeros(elements, device=device, dtype=torch.bfloat16)

        def call() -> Any:
            time.sleep(0.1)
            return weights

        return call

    return build


def plan() -> list[Workload]:
    """All workloads, in the order in which they run."""
    all_: list[Workload] = []
    for m, n, k in SHAPES:
        for label, dtype in (("bf16", "bfloat16"), ("fp16", "float16")):
            all_.append(Workload(f"matmul-{label}-{m}x{n}x{k}", label, counts.product(m, n, k), dense(dtype, m, n, k)))
    for m, n, k in [(8192, 8192, 8192), (4096, 4096, 4096), (16384, 4096, 1024), (4112, 4112, 4112)]:
        all_.append(Workload(f"matmul-fp8-{m}x{n}x{k}", "fp8", counts.product(m, n, k), eight_bit_float(m, n, k)))
        all_.append(Workload(f"matmul-int8-{m}x{n}x{k}", "int8", counts.product(m, n, k), eight_bit_integer(m, n, k)))
    for m, n, k in SMALL:
        all_.append(Workload(f"matmul-tf32-{m}x{n}x{k}", "tf32", counts.product(m, n, k), single(True, m, n, k)))
        all_.append(Workload(f"matmul-fp32-{m}x{n}x{k}", "fp32", counts.product(m, n, k), single(False, m, n, k)))
        all_.append(Workload(f"matmul-fp64-{m}x{n}x{k}", "fp64", counts.product(m, n, k), dense("float64", m, n, k)))
    for causal in (False, True):
        name = "causal" if causal else "full"
        forward = counts.attention_forward(4, 16, 4096, 128, causal)
        all_.append(Workload(f"attention-{name}-forward", "bf16", forward, attention(4, 16, 4096, 128, causal, False)))
        both = forward + counts.attention_backward(4, 16, 4096, 128, causal)
        all_.append(Workload(f"attention-{name}-backward", "bf16", both, attention(4, 16, 4096, 128, causal, True)))
    for recompute in (False, True):
        name = "recompute" if recompute else "plain"
        all_.append(Workload(f"train-step-{name}", "bf16", MODEL.step(BATCH, LENGTH, recompute), train_step(recompute)))
    all_.append(Workload("memory-bound-add", "none", Count.exact(1 << 28), copy_and_add(1 << 28), precision_known=False))
    all_.append(Workload("idle-with-weights", "none", Count.exact(0), hold_memory(1 << 33), precision_known=False))
    all_.append(Workload("two-processes-bf16", "bf16", counts.product(4096, 4096, 4096), dense("bfloat16", 4096, 4096, 4096), processes=2))
    return all_
