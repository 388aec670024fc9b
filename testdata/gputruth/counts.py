"""Exact operation counts of the workloads. Pure arithmetic.

A multiply-add is two operations. What is counted is what the mathematics needs;
hardware that pads a matrix to its tiles executes more, which `padded` bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

# The largest tile of the matrix kernels of Hopper, per dimension of the result,
# and the depth of one step.
TILE_M, TILE_N, TILE_K = 256, 256, 128


@dataclass(frozen=True)
class Count:
    """Operations of one call: what must be executed, and what at most is."""

    low: int
    high: int

    @staticmethod
    def exact(operations: int) -> "Count":
        return Count(operations, operations)

    def __add__(self, other: "Count") -> "Count":
        return Count(self.low + other.low, self.high + other.high)

    def times(self, n: int) -> "Count":
        return Count(self.low * n, self.high * n)


def matmul(m: int, n: int, k: int) -> int:
    """Operations of an (m, k) by (k, n) product."""
    return 2 * m * n * k


def padded(m: int, n: int, k: int) -> int:
    """The same with every dimension rounded up to the largest tile."""

    def up(v: int, tile: int) -> int:
        return (v + tile - 1) // tile * tile

    return matmul(up(m, TILE_M), up(n, TILE_N), up(k, TILE_K))


def product(m: int, n: int, k: int) -> Count:
    """An (m, k) by (k, n) product, with the padding that hardware may execute."""
    return Count(matmul(m, n, k), padded(m, n, k))


def attention_forward(batch: int, heads: int, length: int, width: int, causal: bool) -> Count:
    """Scaled dot-product attention, without softmax.

    A causal kernel may skip the masked half; blocks on the diagonal are computed
    whole, so the truth lies between the lower triangle and the whole square.
    """
    square = 2 * batch * heads * matmul(length, length, width)
    if not causal:
        return Count.exact(square)
    triangle = 2 * batch * heads * 2 * width * (length * (length + 1) // 2)
    return Count(triangle, square)


def attention_backward(batch: int, heads: int, length: int, width: int, causal: bool) -> Count:
    """Gradients of attention: scores again, then four products of the same size."""
    forward = attention_forward(batch, heads, length, width, causal)
    return Count(forward.low * 5 // 2, forward.high * 5 // 2)


@dataclass(frozen=True)
class Transformer:
    """A decoder with plain multi-head attention and a two-matrix MLP."""

    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int

    def layer_forward(self, batch: int, length: int) -> Count:
        tokens = batch * length
        linear = matmul(tokens, 3 * self.width, self.width) + matmul(tokens, self.width, self.width)
        linear += matmul(tokens, self.hidden, self.width) + matmul(tokens, self.width, self.hidden)
        return Count.exact(linear) + attention_forward(batch, self.heads, length, self.width // self.heads, True)

    def step(self, batch: int, length: int, recompute: bool) -> Count:
        """Forward and backward of one step: each product costs twice itself in the
        backward pass, and once more where activations are recomputed."""
        tokens = batch * length
        head = Count.exact(matmul(tokens, self.vocabulary, self.width))
        linear = self.layer_forward(batch, length)
        attention = attention_forward(batch, self.heads, length, self.width // self.heads, True)
        backward = attention_backward(batch, self.heads, length, self.width // self.heads, True)
        plain = Count(linear.low - attention.low, linear.high - attention.high)
        layer = plain.times(3) + attention + backward
        if recompute:
            layer = layer + linear
        return layer.times(self.layers) + head.times(3)
