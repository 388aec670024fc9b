"""Exact operation counts of the workloads. Pure arithmetic.

A multiply-add is two operations. What is counted is what the mathematics needs;
hardware that pads a matrix to its tiles executes more, which `most` bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

# The largest tile of the matrix kernels of Hopper, per dimension of the result,
# and the depth of one step.
TILE_M, TILE_N, TILE_K = 256, 256, 128

# The largest block of scores that an attention kernel computes or skips whole.
BLOCK = 256


@dataclass(frozen=True)
class Count:
    """Operations of one call.

    `low` is what the mathematics asks for. `high` is more than that where the
    method itself leaves it open, as with the blocks on the diagonal of causal
    attention. `most` allows for tile padding too: what is executed is never
    below `low` nor above `most`.
    """

    low: int
    high: int
    most: int

    @staticmethod
    def exact(operations: int) -> "Count":
        return Count(operations, operations, operations)

    def __add__(self, other: "Count") -> "Count":
        return Count(self.low + other.low, self.high + other.high, self.most + other.most)

    def times(self, n: int, by: int = 1) -> "Count":
        """This count n/by times; it must come out whole."""
        parts = [v * n for v in (self.low, self.high, self.most)]
        assert not any(v % by for v in parts), "a count must be whole"
        return Count(*(v // by for v in parts))


def round_up(v: int, tile: int) -> int:
    """The next multiple of tile."""
    return (v + tile - 1) // tile * tile


def matmul(m: int, n: int, k: int) -> int:
    """Operations of an (m, k) by (k, n) product."""
    return 2 * m * n * k


def padded(m: int, n: int, k: int) -> int:
    """The same with every dimension rounded up to the largest tile."""
    return matmul(round_up(m, TILE_M), round_up(n, TILE_N), round_up(k, TILE_K))


def product(m: int, n: int, k: int) -> Count:
    """An (m, k) by (k, n) product, with the padding that hardware may execute."""
    exact = matmul(m, n, k)
    return Count(exact, exact, padded(m, n, k))


@dataclass(frozen=True)
class Attention:
    """Scaled dot-product attention, without softmax, by a kernel that works in
    blocks: it skips the blocks that a causal mask hides whole, and computes those
    on the diagonal in part or whole."""

    batch: int
    heads: int
    length: int
    width: int
    causal: bool

    def scores(self) -> tuple[int, int, int]:
        """Scores of one head: what the mask leaves, with the diagonal blocks whole,
        and with the length padded as well."""
        blocks = round_up(self.length, BLOCK) // BLOCK
        square = self.length * self.length
        if not self.causal:
            return square, square, (blocks * BLOCK) ** 2
        whole = blocks * (blocks + 1) // 2 * BLOCK * BLOCK
        return self.length * (self.length + 1) // 2, min(whole, square), whole

    def products(self, n: int) -> Count:
        """n products between scores and vectors of the head's width."""
        return Count(*(n * self.batch * self.heads * 2 * self.width * s for s in self.scores()))

    def forward(self) -> Count:
        """Scores from queries and keys, and their sum over values."""
        return self.products(2)

    def backward(self) -> Count:
        """Scores again, and the gradients of scores, values, queries and keys."""
        return self.products(5)


@dataclass(frozen=True)
class Transformer:
    """A decoder with plain multi-head attention and a two-matrix MLP."""

    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int

    def attention(self, batch: int, length: int) -> Attention:
        return Attention(batch, self.heads, length, self.width // self.heads, True)

    def linear(self, tokens: int) -> Count:
        """The matrices of one layer, forward."""
        return (
            product(tokens, 3 * self.width, self.width)
            + product(tokens, self.width, self.width)
            + product(tokens, self.hidden, self.width)
            + product(tokens, self.width, self.hidden)
        )

    def layer_forward(self, batch: int, length: int) -> Count:
        return self.linear(batch * length) + self.attention(batch, length).forward()

    def step(self, batch: int, length: int, recompute: bool) -> Count:
        """Forward and backward of one step: each product costs twice itself in the
        backward pass, and each layer's forward once more where activations are
        recomputed."""
        tokens = batch * length
        forward = self.layer_forward(batch, length)
        layer = forward + self.linear(tokens).times(2) + self.attention(batch, length).backward()
        if recompute:
            layer = layer + forward
        return layer.times(self.layers) + product(tokens, self.vocabulary, self.width).times(3)
