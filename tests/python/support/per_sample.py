"""Gradients of single samples, by torch.autograd on the real parameters: what the sketches of
`GradientSketcher` are compared with."""

import torch
from torch.utils._pytree import tree_map

from skmm_fast.gradients import GradientSketcher

F = torch.nn.functional


def logits(output):
    """In float32 at least."""
    output = getattr(output, "logits", output)
    return output if output.dtype == torch.float64 else output.float()


def cross_entropy(output, y):
    return F.cross_entropy(logits(output), y)


def mse(output, y):
    return ((logits(output) - y) ** 2).mean()


def causal_lm(power):
    """Sum over the T tokens that have a loss, divided by T^power."""

    def loss(output, y):
        out, y = logits(output)[0, :-1], y[0, 1:]
        kept = y != -100
        each = -torch.log_softmax(out, 1)[kept].gather(1, y[kept][:, None])
        return each.sum() / len(each) ** power if len(each) else out.sum() * 0

    return loss


LOSSES = {
    "cross-entropy": cross_entropy,
    "mse": mse,
    "causal-lm": causal_lm(0.5),
    "causal-lm-mean": causal_lm(1),
    "causal-lm-sum": causal_lm(0),
}


def gradients(model, names, loss, inputs, labels):
    """(B, r) of inputs that are one tensor, a tuple of them, or a dict: one model call a sample."""
    named = dict(model.named_parameters())
    params = [named[name] for name in names]
    flags = [p.requires_grad for p in model.parameters()]
    for p in model.parameters():
        p.requires_grad_(p.is_floating_point())
    rows = []
    for i in range(len(labels)):
        one = tree_map(lambda x: x[i : i + 1] if isinstance(x, torch.Tensor) else x, inputs)  # noqa: B023
        if isinstance(one, dict):
            output = model(**one)
        else:
            output = model(*one) if isinstance(one, tuple) else model(one)
        g = torch.autograd.grad(loss(output, labels[i : i + 1]), params, allow_unused=True)
        rows.append(
            torch.cat(
                [
                    (p.new_zeros(p.numel()) if d is None else d.to_dense().flatten())
                    for d, p in zip(g, params, strict=True)
                ]
            )
        )
    for p, flag in zip(model.parameters(), flags, strict=True):
        p.requires_grad_(flag)
    return torch.stack(rows)


def relative_error(Z, expected):
    """The largest distance of a row, in its own norm."""
    off = (Z - expected).double().norm(dim=1)
    norm = expected.double().norm(dim=1)
    assert norm.min() > 0
    return float((off / norm).max())


def assert_equals_the_loop(
    model, inputs, labels, loss="cross-entropy", tol=None, ids=None, **options
):
    """Returns the sketcher, for its methods."""
    options = {"params": "all", "sketch_dim": 32, **options}
    sketcher = GradientSketcher(model, loss=loss, **options)
    named = dict(model.named_parameters())
    assert sketcher.names == [name for name in named if name in sketcher.names]
    if options["params"] == "all":
        assert sketcher.names == list(named)
    Z = sketcher((inputs, labels), ids)
    G = gradients(
        model, sketcher.names, LOSSES[loss] if isinstance(loss, str) else loss, inputs, labels
    )
    if G.dtype == torch.bfloat16:
        G = G.float()
    expected = torch.from_numpy(sketcher.sketch.apply(G.numpy()))
    assert Z.dtype == expected.dtype
    tol = tol or {torch.float32: 1e-5, torch.float64: 1e-10}[Z.dtype]
    error = relative_error(Z, expected)
    assert error <= tol, f"{error:.2g} of the norm of a row"
    return sketcher
