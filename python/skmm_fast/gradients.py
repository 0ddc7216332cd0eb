"""Sketched per-sample gradients of a torch model (needs torch).

The coordinates of a gradient are those of the chosen parameters, in the order of
`model.named_parameters()`, each flattened row-major.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

try:
    import torch
    import torch.nn.functional as F
    from torch.func import functional_call, grad, vmap
except ImportError as error:
    raise ImportError("torch is needed here: pip install 'skmm-fast[torch]'") from error

from . import _core, _validate
from .sketch import Sketch, make

LOSSES = ("cross-entropy", "mse")
TARGETS = ("label", "random")

Params = str | Iterable[str] | Callable[[str, torch.nn.Parameter], bool]


class GradientSketcher:
    """Maps a batch to its sketched per-sample gradients, one parameter at a time.

    Parameters
    ----------
    model : torch.nn.Module on the CPU, in eval mode
    params : "last" or "last-2" (the last one or two modules with parameters of their own, as
        `model.modules()` lists them), "trainable", "all", names or glob patterns, or a predicate
        of (name, parameter)
    loss : "cross-entropy" of logits (B, C) with class numbers (B,), or "mse", the mean over the
        outputs of a sample
    targets : "label", or "random" classes drawn from the model's own predictive distribution,
        keyed by (seed, sample id)
    sketch_dim, sketch, nnz_per_row, seed : Γ, as in `SparseSign` and `Gaussian`
    micro_batch : samples whose gradients are held at a time: micro_batch · r numbers

    Per-sample gradients by `torch.func.vmap(grad)`. Source: SkMM, arXiv 2407.06120, section 4.

    Raises
    ------
    TypeError, ValueError : a model in training mode, no parameter chosen, sketch_dim beyond the
        number of parameters, unknown names.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        params: Params = "last-2",
        loss: str = "cross-entropy",
        targets: str = "label",
        sketch_dim: int = 512,
        sketch: str = "sparse-sign",
        nnz_per_row: int | None = None,
        seed: int = 0,
        micro_batch: int = 32,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
        if model.training:
            raise ValueError(
                "model: expected eval mode, got training mode: dropout and batch statistics would "
                "enter the gradients; call model.eval()"
            )
        self.model = model
        self.loss = _validate.choice("loss", loss, LOSSES)
        self.targets = _validate.choice("targets", targets, TARGETS)
        if loss == "mse" and targets == "random":
            raise ValueError("targets: expected 'label' with loss='mse', got 'random'")
        self.names = _chosen(model, params)
        self.micro_batch = _validate.integer("micro_batch", micro_batch, 1)
        sizes = [p.numel() for p in self._parameters().values()]
        self.sketch: Sketch = make(sketch, sum(sizes), sketch_dim, seed, nnz_per_row)
        self._per_sample = vmap(grad(self._loss_of_one), in_dims=(None, 0, 0))

    @property
    def n_params(self) -> int:
        """r, the length of a gradient."""
        return self.sketch.in_dim

    def __call__(
        self, batch: tuple[torch.Tensor, torch.Tensor], sample_ids: Any = None
    ) -> torch.Tensor:
        """(inputs (B, ...), labels (B, ...)) -> (B, sketch_dim) sketched gradients, float32.

        sample_ids: (B,) integers, needed (and used) where targets are random; labels are not then.
        Raises ValueError for sizes that disagree, missing sample_ids, NaN or Inf in the gradients.
        """
        inputs, labels = batch
        if len(inputs) == 0 or len(labels) != len(inputs):
            raise ValueError(
                f"batch: expected as many labels as inputs, at least one, got {len(labels)} and "
                f"{len(inputs)}"
            )
        if self.targets == "random":
            labels = self._random_labels(inputs, sample_ids)
        Z = torch.zeros(len(inputs), self.sketch.out_dim)
        for i in range(0, len(inputs), self.micro_batch):
            rows = slice(i, i + self.micro_batch)
            grads = self._per_sample(self._parameters(), inputs[rows], labels[rows])
            offset = 0
            for g in grads.values():
                g = g.reshape(len(g), -1).contiguous()
                self.sketch.apply(g, out=Z[rows], col_offset=offset, accumulate=True)
                offset += g.shape[1]
        return Z

    def _parameters(self) -> dict[str, torch.Tensor]:
        named = dict(self.model.named_parameters())
        return {name: named[name].detach() for name in self.names}

    def _loss_of_one(
        self, params: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        out = functional_call(self.model, params, (x[None],))
        return (
            F.cross_entropy(out, y[None])
            if self.loss == "cross-entropy"
            else F.mse_loss(out, y[None])
        )

    @torch.no_grad()
    def _random_labels(self, inputs: torch.Tensor, sample_ids: Any) -> torch.Tensor:
        ids = _validate.vector_of_ids(sample_ids, len(inputs))
        u = torch.from_numpy(_core.random_target_uniforms(ids, self.sketch.seed))
        cdf = torch.softmax(self.model(inputs).double(), dim=1).cumsum(dim=1)
        return torch.searchsorted(cdf, (u * cdf[:, -1])[:, None]).squeeze(1)


def _chosen(model: torch.nn.Module, params: Params) -> list[str]:
    """Names of the chosen parameters, in the model's order."""
    named = dict(model.named_parameters())
    if callable(params):
        names = [name for name, p in named.items() if params(name, p)]
    elif params == "all":
        names = list(named)
    elif params == "trainable":
        names = [name for name, p in named.items() if p.requires_grad]
    elif params in ("last", "last-2"):
        last = 1 if params == "last" else 2
        layers = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
        own = {id(p) for m in layers[-last:] for p in m.parameters(recurse=False)}
        names = [name for name, p in named.items() if id(p) in own]
    else:
        patterns = [params] if isinstance(params, str) else list(params)
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in named):
                raise ValueError(
                    f"params: expected names or patterns of parameters ({', '.join(named)}), "
                    f"got {pattern!r}"
                )
        names = [name for name in named if any(fnmatchcase(name, p) for p in patterns)]
    if not names:
        raise ValueError(f"params: expected at least one parameter, got none with {params!r}")
    return names
