"""Sketched per-sample gradients of a torch model (needs torch).

The coordinates of a gradient are those of the chosen parameters, in the order of
`model.named_parameters()`, each flattened row-major.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

try:
    import torch
    import torch.nn.functional as F
    from torch.func import functional_call, grad, vmap
except ImportError as error:
    raise ImportError("torch is needed here: pip install 'skmm-fast[torch]'") from error

from . import _core, _validate
from .sketch import KINDS, Sketch, make

LOSSES = ("cross-entropy", "mse")
TARGETS = ("label", "random")

Params = str | Sequence[str] | Callable[[str, torch.nn.Parameter], bool]


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
    sketch_dim, sketch, nnz_per_row, seed : Γ, as in `SparseSign`, `GroupedSign` and `Gaussian`
    micro_batch : samples whose gradients are held at a time: micro_batch · r numbers

    Per-sample gradients by `torch.func.vmap(grad)`. Source: SkMM, arXiv 2407.06120, section 4.

    Raises
    ------
    TypeError, ValueError : a module in training mode, no parameter chosen, unknown names,
        sketch_dim beyond the number of parameters, parameters that are not float32 or float64.
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
        self.model = model
        self._check_eval_mode()
        self.loss = _validate.choice("loss", loss, LOSSES)
        self.targets = _validate.choice("targets", targets, TARGETS)
        if loss == "mse" and targets == "random":
            raise ValueError("targets: expected 'label' with loss='mse', got 'random'")
        self.names = _chosen(model, params)
        self.micro_batch = _validate.integer("micro_batch", micro_batch, 1)
        devices = {p.device.type for p in model.parameters()}
        if devices != {"cpu"}:
            raise ValueError(f"model: expected parameters on the CPU, got {devices}")
        chosen = self._parameters().values()
        types = {p.dtype for p in chosen}
        if len(types) > 1 or not types <= {torch.float32, torch.float64}:
            raise TypeError(
                f"model: expected parameters of one type, float32 or float64, got {types}"
            )
        n_params = sum(p.numel() for p in chosen)
        least = KINDS[_validate.choice("sketch", sketch, tuple(KINDS))].least_out_dim
        if _validate.integer("sketch_dim", sketch_dim, least) > n_params:
            raise ValueError(
                f"sketch_dim: expected at most the number of chosen parameters, {n_params}, "
                f"got {sketch_dim}"
            )
        self.sketch: Sketch = make(sketch, n_params, sketch_dim, seed, nnz_per_row)
        self._dtype = types.pop()
        self._per_sample = vmap(grad(self._loss_of_one), in_dims=(None, 0, 0))

    @property
    def n_params(self) -> int:
        """r, the length of a gradient."""
        return self.sketch.in_dim

    def __call__(
        self, batch: tuple[torch.Tensor, torch.Tensor | None], sample_ids: Any = None
    ) -> torch.Tensor:
        """(inputs (B, ...), labels (B, ...)) -> (B, sketch_dim) sketched gradients.

        sample_ids: (B,) integers, needed (and used) where targets are random; labels are not then.
        Raises TypeError or ValueError for labels that do not fit the model's output, missing
        sample_ids, a module in training mode, NaN or Inf in the gradients.
        """
        self._check_eval_mode()
        inputs, labels = self._checked(batch)
        ids = _validate.vector_of_ids(sample_ids, len(inputs), needed=labels is None)
        Z = torch.zeros(len(inputs), self.sketch.out_dim, dtype=self._dtype)
        for i in range(0, len(inputs), self.micro_batch):
            rows = slice(i, i + self.micro_batch)
            y = self._random_labels(inputs[rows], ids[rows], i) if labels is None else labels[rows]
            grads = self._per_sample(self._parameters(), inputs[rows], y)
            finite = torch.stack([g.flatten(1).isfinite().all(1) for g in grads.values()]).all(0)
            if not finite.all():
                first = i + int((~finite).nonzero()[0])
                raise ValueError(
                    f"batch: expected finite gradients, got NaN or Inf first in sample {first}"
                )
            offset = 0
            for g in grads.values():
                g = g.flatten(1).contiguous()
                self.sketch.apply(g, out=Z[rows], col_offset=offset, accumulate=True)
                offset += g.shape[1]
        return Z

    def _check_eval_mode(self) -> None:
        for name, module in self.model.named_modules():
            if module.training:
                raise ValueError(
                    f"model: expected eval mode, got training mode in {name or 'the model'}: "
                    "dropout and batch statistics would enter the gradients; call model.eval()"
                )

    def _checked(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Inputs, and labels that fit the model's output; None where targets are random."""
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise TypeError(f"batch: expected (inputs, labels), got {type(batch).__name__}")
        inputs, labels = batch
        if not isinstance(inputs, torch.Tensor) or len(inputs) == 0:
            raise ValueError("batch: expected inputs as a tensor of at least one sample")
        out = self._output_of_one(inputs)
        if self.loss == "cross-entropy" and out.ndim != 1:
            raise ValueError(f"model: expected logits (B, C), got shape {('B', *out.shape)}")
        if self.targets == "random":
            return inputs, None
        if not isinstance(labels, torch.Tensor) or len(labels) != len(inputs):
            got = len(labels) if isinstance(labels, torch.Tensor) else type(labels).__name__
            raise ValueError(
                f"batch: expected labels as a tensor, as many as inputs ({len(inputs)}), got {got}"
            )
        if self.loss == "mse":
            if labels.shape[1:] != out.shape:
                raise ValueError(
                    f"batch: expected labels of the model's output shape {('B', *out.shape)}, "
                    f"got {tuple(labels.shape)}"
                )
        elif labels.dtype != torch.int64 or labels.ndim != 1:
            raise TypeError(
                f"batch: expected labels (B,) of int64, got {tuple(labels.shape)} of {labels.dtype}"
            )
        elif not 0 <= int(labels.min()) <= int(labels.max()) < len(out):
            raise ValueError(
                f"batch: expected labels in [0, {len(out) - 1}], got {int(labels.min())} to "
                f"{int(labels.max())}"
            )
        return inputs, labels.detach()

    @torch.no_grad()
    def _output_of_one(self, inputs: torch.Tensor) -> torch.Tensor:
        try:
            out = self.model(inputs[:1])
        except (RuntimeError, TypeError, IndexError) as error:
            raise ValueError(
                "batch: expected inputs that the model takes, got shape "
                f"{tuple(inputs.shape)} of {inputs.dtype}: {error}"
            ) from error
        if not isinstance(out, torch.Tensor) or len(out) != 1:
            raise TypeError(
                f"model: expected a tensor (B, ...) as output, got {type(out).__name__}"
            )
        return out[0]

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
    def _random_labels(
        self, inputs: torch.Tensor, ids: _validate.Indices, first: int
    ) -> torch.Tensor:
        """Classes drawn from the model's predictive distribution; `first`: number of inputs[0]."""
        u = torch.from_numpy(_core.random_target_uniforms(ids, self.sketch.seed))
        cdf = torch.softmax(self.model(inputs).double(), dim=1).cumsum(dim=1)
        finite = cdf.isfinite().all(1)
        if not finite.all():
            raise ValueError(
                "batch: expected finite logits, got NaN or Inf first in sample "
                f"{first + int((~finite).nonzero()[0])}"
            )
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
        patterns = [params] if isinstance(params, str) else params
        if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
            raise TypeError(f"params: expected names, patterns or a predicate, got {params!r}")
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
