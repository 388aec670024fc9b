"""The transformer whose training step is counted. Needs torch."""

from __future__ import annotations

from typing import Any, Callable

from counts import Transformer


def recomputed(torch: Any, layer: Any, x: Any) -> Any:
    """Runs a layer so that the backward pass runs its whole forward pass again.

    By default torch stops the second forward pass once it has what the gradients
    need, and leaves out the layer's last product.
    """
    import torch.utils.checkpoint as checkpoint

    early_stop = getattr(checkpoint, "set_checkpoint_early_stop", None)
    if early_stop is None:  # before torch 2.1 it never stops early
        return checkpoint.checkpoint(layer, x, use_reentrant=False)
    with early_stop(False):
        return checkpoint.checkpoint(layer, x, use_reentrant=False)


def step(
    torch: Any, device: Any, shape: Transformer, batch: int, length: int, recompute: bool, attend: Callable[..., Any]
) -> Callable[[], Any]:
    """Returns a call that runs forward, backward and optimiser of one step; attend
    is causal attention of queries, keys and values."""
    nn = torch.nn

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        """Attention and MLP with residuals."""

        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
            self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
            self.out = nn.Linear(shape.width, shape.width, bias=False)
            self.up = nn.Linear(shape.width, shape.hidden, bias=False)
            self.down = nn.Linear(shape.hidden, shape.width, bias=False)

        def forward(self, x: Any) -> Any:
            b, l, w = x.shape
            q, k, v = (t.view(b, l, shape.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, dim=-1))
            x = x + self.out(attend(q, k, v).transpose(1, 2).reshape(b, l, w))
            return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))

    layers = nn.ModuleList(Layer() for _ in range(shape.layers)).to(device, torch.bfloat16)
    head = nn.Linear(shape.width, shape.vocabulary, bias=False).to(device, torch.bfloat16)
    optimiser = torch.optim.SGD([*layers.parameters(), *head.parameters()], lr=1e-4)
    # The input needs a gradient, or the first layer's would not be computed and the
    # count of the backward pass would be too high.
    x = torch.randn(batch, length, shape.width, device=device).to(torch.bfloat16).requires_grad_()
    target = torch.randint(0, shape.vocabulary, (batch * length,), device=device)

    def call() -> Any:
        h = x
        for layer in layers:
            h = recomputed(torch, layer, h) if recompute else layer(h)
        loss = nn.functional.cross_entropy(head(h).view(-1, shape.vocabulary).float(), target)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        x.grad = None
        return loss

    return call
