"""What runs on the device, and how many operations each call is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

import counts
from counts import Attention, Count

# Takes torch and a device and returns the call.
Build = Callable[[Any, Any], Callable[[], Any]]

PRECISIONS = ("bf16", "fp16", "tf32", "fp32", "fp64", "fp8", "int8", "mixed", "none")


@dataclass(frozen=True)
class Workload:
    """A workload: its count per call, and how to make the call.

    `processes` is how many processes run it side by side; `note` says where the
    count is an interval and why.
    """

    name: str
    precision: str  # one of PRECISIONS
    count: Count
    build: Build
    processes: int = 1
    precision_known: bool = True
    note: str = ""


# Multiples of every tile, then badly shaped: no multiple of anything, skinny, tall.
SHAPES = [(8192, 8192, 8192), (4096, 4096, 4096), (16384, 4096, 1024), (4097, 4099, 4103), (8192, 64, 8192), (65536, 256, 256)]
# Eight-bit kernels want multiples of 16.
EIGHT_BIT = [(8192, 8192, 8192), (4096, 4096, 4096), (16384, 4096, 1024), (4112, 4112, 4112), (8192, 64, 8192), (65536, 256, 256)]
WIDE = [(4096, 4096, 4096), (2049, 2051, 2053), (4096, 64, 4096)]


def dense(dtype: str, m: int, n: int, k: int) -> Build:
    """A matrix product in one format."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        kind = getattr(torch, dtype)
        a = torch.randn(m, k, device=device, dtype=torch.float32).to(kind)
        b = torch.randn(k, n, device=device, dtype=torch.float32).to(kind)
        out = torch.empty(m, n, device=device, dtype=kind)
        return lambda: torch.matmul(a, b, out=out)

    return build


def single(tf32: bool, m: int, n: int, k: int) -> Build:
    """A product of 32-bit numbers, on tensor cores as TF32 or on CUDA cores."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        torch.backends.cuda.matmul.allow_tf32 = tf32
        return dense("float32", m, n, k)(torch, device)

    return build


def eight_bit_float(m: int, n: int, k: int) -> Build:
    """An FP8 (E4M3) product with one scale per matrix."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        if not hasattr(torch, "_scaled_mm"):
            raise RuntimeError("this torch has no _scaled_mm")
        a = torch.randn(m, k, device=device).to(torch.float8_e4m3fn)
        b = torch.randn(n, k, device=device).to(torch.float8_e4m3fn).t()
        one = torch.ones((), device=device)
        return lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)

    return build


def eight_bit_integer(m: int, n: int, k: int) -> Build:
    """An INT8 product with 32-bit sums."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        if not hasattr(torch, "_int_mm"):
            raise RuntimeError("this torch has no _int_mm")
        a = torch.randint(-8, 8, (m, k), device=device, dtype=torch.int8)
        b = torch.randint(-8, 8, (n, k), device=device, dtype=torch.int8).t()
        return lambda: torch._int_mm(a, b)

    return build


def attend_by(torch: Any, backend: str, causal: bool) -> Callable[..., Any]:
    """Attention by one kernel family and no other: the count holds for kernels that
    work in blocks and recompute scores in the backward pass. If it cannot run,
    torch raises RuntimeError instead of taking another."""
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
    except ImportError:
        raise RuntimeError("this torch cannot be told which attention kernel to take; it needs 2.3 or newer") from None
    if not hasattr(SDPBackend, backend):
        raise RuntimeError(f"this torch has no {backend}")
    kernel = getattr(SDPBackend, backend)

    def attend(q: Any, k: Any, v: Any) -> Any:
        with sdpa_kernel(kernel):
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    return attend


def attention(a: Attention, backend: str, backward: bool) -> Build:
    """Attention forward, or forward and backward."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        shape = (a.batch, a.heads, a.length, a.width)
        attend = attend_by(torch, backend, a.causal)
        q, k, v = (torch.randn(shape, device=device, dtype=torch.bfloat16, requires_grad=backward) for _ in range(3))
        gradient = torch.randn(shape, device=device, dtype=torch.bfloat16)

        def call() -> Any:
            out = attend(q, k, v)
            if backward:
                out.backward(gradient)
                q.grad = k.grad = v.grad = None
            return out

        return call

    return build


MODEL = counts.Transformer(layers=8, width=2048, heads=16, hidden=8192, vocabulary=32000)
BATCH, LENGTH = 8, 2048


def train_step(recompute: bool) -> Build:
    """A training step of MODEL, with or without recomputed activations."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        import model  # needs torch

        attend = attend_by(torch, "FLASH_ATTENTION", True)
        return model.step(torch, device, MODEL, BATCH, LENGTH, recompute, attend)

    return build


def add_elements(elements: int) -> Build:
    """An addition per element: all memory traffic."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        a = torch.randn(elements, device=device)
        out = torch.empty_like(a)
        return lambda: torch.add(a, 1.0, out=out)

    return build


def hold_memory(elements: int) -> Build:
    """Weights on the device and nothing to do."""

    def build(torch: Any, device: Any) -> Callable[[], Any]:
        weights = torch.zeros(elements, device=device, dtype=torch.bfloat16)

        def call() -> Any:
            time.sleep(0.1)
            return weights

        return call

    return build


SKIPS = "low counts the scores that the mask leaves; the kernel skips hidden blocks and computes those on the diagonal in part or whole (blocks of up to 256)"
PADS = "the mathematical count; kernels may pad to tiles of up to 256 x 256 x 128"
ADDS = "one addition per element; the kernel may issue a multiply-add, and executed_max allows for 8 instructions per element of address arithmetic on the same pipe"


def matmul(label: str, shape: tuple[int, int, int], build: Build, processes: int = 1) -> Workload:
    """A product of a shape, which build makes."""
    count = counts.product(*shape)
    name = f"matmul-{label}-" + "x".join(map(str, shape))
    return Workload(name, label, count, build, processes, note=PADS if count.most > count.low else "")


def matmuls() -> list[Workload]:
    """Every format at several sizes."""
    found = [matmul(label, s, dense(dtype, *s)) for s in SHAPES for label, dtype in (("bf16", "bfloat16"), ("fp16", "float16"))]
    for s in EIGHT_BIT:
        found += [matmul("fp8", s, eight_bit_float(*s)), matmul("int8", s, eight_bit_integer(*s))]
    for s in WIDE:
        found += [matmul("tf32", s, single(True, *s)), matmul("fp32", s, single(False, *s)), matmul("fp64", s, dense("float64", *s))]
    return found


def attentions() -> list[Workload]:
    """Attention by both kernel families that Hopper has, whole and causal."""
    found = []
    for label, backend in (("flash", "FLASH_ATTENTION"), ("cudnn", "CUDNN_ATTENTION")):
        for causal in (False, True):
            a = Attention(4, 16, 4096, 128, causal)
            name, note = f"attention-{label}-{'causal' if causal else 'full'}", SKIPS if causal else ""
            found.append(Workload(f"{name}-forward", "bf16", a.forward(), attention(a, backend, False), note=note))
            both = a.forward() + a.backward()
            found.append(Workload(f"{name}-backward", "bf16", both, attention(a, backend, True), note=note))
    return found


def plan() -> list[Workload]:
    """All workloads, in the order in which they run."""
    found = matmuls() + attentions()
    for recompute in (False, True):
        name = "train-step-recompute" if recompute else "train-step-plain"
        found.append(Workload(name, "bf16", MODEL.step(BATCH, LENGTH, recompute), train_step(recompute), note="matrix products and attention only; " + SKIPS))
    elements = 1 << 28
    added = Count(elements, 2 * elements, 16 * elements)
    found.append(Workload("memory-bound-add", "none", added, add_elements(elements), precision_known=False, note=ADDS))
    found.append(Workload("idle-with-weights", "none", Count.exact(0), hold_memory(1 << 33), precision_known=False))
    side = 4096
    found.append(Workload("two-processes-bf16", "bf16", counts.product(side, side, side), dense("bfloat16", side, side, side), processes=2))
    return found


def named(name: str) -> Workload | None:
    """The workload of a name."""
    return next((w for w in plan() if w.name == name), None)
