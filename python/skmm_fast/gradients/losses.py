"""Losses, one number per sample, and their targets: the labels, or random draws.

A draw depends on the seed and the sample's id alone, never on the batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F

from .. import _core
from .._support import checks
from .._support.types import Indices

LossName = Literal["cross-entropy", "mse", "causal-lm", "causal-lm-mean", "causal-lm-sum"]
Targets = Literal["label", "random", "uniform"]
IGNORED = -100  # the label of a token that has no loss

Function = Callable[[Any, Any], torch.Tensor]  # (output, labels) -> (B,)


def logits(output: Any) -> torch.Tensor:
    """The tensor of predictions in a model's output: its entry or attribute `logits`, the first
    element of a tuple or list, or the output itself."""
    if isinstance(output, Mapping) and "logits" in output:
        output = output["logits"]
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(
            f"model: expected a tensor (B, ...) or logits as output, got {type(output).__name__}"
        )
    return output


class Loss(ABC):
    """A loss of each sample by itself, computed in float32 or float64."""

    @abstractmethod
    def __call__(self, output: Any, targets: Any) -> torch.Tensor:
        """The losses (B,) for the model's output and targets that fit it."""

    @abstractmethod
    def targets(self, output: Any, labels: Any, how: str, ids: Indices, seed: int) -> Any:
        """The targets: the labels where `how` is "label", else draws for the samples of these ids.

        Draws come from the distribution that the model predicts ("random"), or are uniform over the
        classes ("uniform"). Raises TypeError or ValueError for labels that do not fit the output.
        """

    def lengths(self, labels: Any) -> Indices | None:
        """(B,) How many tokens of each sample have a loss; None where that is not said."""
        return None


class KnownLoss(Loss):
    """A built-in loss: its labels can be checked and its targets drawn."""

    def targets(self, output: Any, labels: Any, how: str, ids: Indices, seed: int) -> Any:
        if how == "label":
            self.check(output, labels)
            return labels
        out = logits(output).detach()
        u = torch.from_numpy(_core.random_target_uniforms(ids, seed, self.entries(out)))
        return self.draw(out, labels, u.to(out.device), how == "uniform")

    @abstractmethod
    def check(self, output: Any, labels: Any) -> None:
        """Raises TypeError or ValueError for labels that do not fit the output."""

    @abstractmethod
    def entries(self, out: torch.Tensor) -> int:
        """How many random numbers the targets of a sample take."""

    @abstractmethod
    def draw(self, out: torch.Tensor, labels: Any, u: torch.Tensor, uniform: bool) -> torch.Tensor:
        """Targets from the random numbers u (B, entries), uniform in (0, 1).

        They are uniform over the classes where `uniform`, else from the model's own distribution.
        """


class CrossEntropy(KnownLoss):
    """The cross-entropy of logits (B, C) with class numbers (B,)."""

    def __call__(self, output: Any, targets: Any) -> torch.Tensor:
        return F.cross_entropy(_at_least_float32(logits(output)), targets, reduction="none")

    def check(self, output: Any, labels: Any) -> None:
        out = logits(output)
        _tensor(labels)
        self.entries(out)
        if labels.dtype != torch.int64 or labels.ndim != 1:
            raise TypeError(
                f"batch: expected labels (B,) of int64, got {tuple(labels.shape)} of {labels.dtype}"
            )
        _within(labels, out.shape[1])

    def entries(self, out: torch.Tensor) -> int:
        if out.ndim != 2:
            raise ValueError(f"model: expected logits (B, C), got shape {tuple(out.shape)}")
        return 1

    def draw(self, out: torch.Tensor, labels: Any, u: torch.Tensor, uniform: bool) -> torch.Tensor:
        return _classes(out, u[:, 0], uniform)


class MeanSquares(KnownLoss):
    """The mean of squared differences over the outputs of a sample, for outputs (B, ...).

    For random targets the model is taken to predict normal numbers of variance 1 around its output.
    """

    def __call__(self, output: Any, targets: Any) -> torch.Tensor:
        out = _at_least_float32(logits(output))
        if out.shape != targets.shape:
            raise ValueError(
                f"model: expected outputs (B, ...) of the shape of their targets, "
                f"{tuple(targets.shape)}, got {tuple(out.shape)}"
            )
        squares: torch.Tensor = (out - targets).square()
        return squares.reshape(len(out), -1).mean(1)

    def check(self, output: Any, labels: Any) -> None:
        out = logits(output)
        _tensor(labels)
        if labels.shape != out.shape:
            raise ValueError(
                f"batch: expected labels of the model's output shape {tuple(out.shape)}, "
                f"got {tuple(labels.shape)}"
            )

    def entries(self, out: torch.Tensor) -> int:
        return out[0].numel()

    def draw(self, out: torch.Tensor, labels: Any, u: torch.Tensor, uniform: bool) -> torch.Tensor:
        drawn: torch.Tensor = out + torch.special.ndtri(u).view(out.shape)
        return drawn.to(_at_least_float32(out).dtype)


class CausalLM(KnownLoss):
    """The cross-entropy of the tokens of a sample that have a loss, summed and divided by a power
    of their number; 0 where none has one.

    The logits (B, T, V) at t - 1 predict the token (B, T) at t. The first token and those labelled
    -100 have no loss.
    """

    def __init__(self, power: float) -> None:
        self.power = power

    def __call__(self, output: Any, targets: Any) -> torch.Tensor:
        out, y = _at_least_float32(logits(output))[:, :-1], targets[:, 1:]
        each = F.cross_entropy(out.transpose(1, 2), y, ignore_index=IGNORED, reduction="none")
        tokens = (y != IGNORED).sum(1).clamp(min=1).to(each.dtype)
        losses: torch.Tensor = each.sum(1) / tokens**self.power
        return losses

    def check(self, output: Any, labels: Any) -> None:
        out = logits(output)
        _tensor(labels)
        if out.ndim != 3:
            raise ValueError(f"model: expected logits (B, T, V), got shape {tuple(out.shape)}")
        if labels.dtype != torch.int64 or labels.shape != out.shape[:2]:
            raise TypeError(
                f"batch: expected labels {tuple(out.shape[:2])} of int64, got "
                f"{tuple(labels.shape)} of {labels.dtype}"
            )
        _within(labels[labels != IGNORED], out.shape[2])

    def lengths(self, labels: Any) -> Indices | None:
        counts: Indices = (labels[:, 1:] != IGNORED).sum(1).cpu().numpy()
        return counts

    def entries(self, out: torch.Tensor) -> int:
        return out.shape[1]

    def draw(self, out: torch.Tensor, labels: Any, u: torch.Tensor, uniform: bool) -> torch.Tensor:
        self.check(out, labels)
        drawn = labels.clone()
        for i in range(len(out)):  # one at a time: all probabilities would fill the memory
            drawn[i, 1:] = _classes(out[i, :-1], u[i, 1:], uniform)
        return torch.where(labels == IGNORED, labels, drawn)


class UserLoss(Loss):
    """A user's function (output, labels) -> (B,), whose labels cannot be checked or drawn."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def __call__(self, output: Any, targets: Any) -> torch.Tensor:
        losses = self.function(output, targets)
        if not isinstance(losses, torch.Tensor) or losses.ndim != 1:
            got = tuple(losses.shape) if isinstance(losses, torch.Tensor) else type(losses).__name__
            raise ValueError(f"loss: expected one loss per sample, shape (B,), got {got}")
        return losses

    def targets(self, output: Any, labels: Any, how: str, ids: Indices, seed: int) -> Any:
        return labels


LOSSES: dict[str, Callable[[], Loss]] = {
    "cross-entropy": CrossEntropy,
    "mse": MeanSquares,
    # Gradients of texts of any length have about the same noise (docs/explanation/lengths.md).
    "causal-lm": partial(CausalLM, 0.5),
    "causal-lm-mean": partial(CausalLM, 1.0),
    "causal-lm-sum": partial(CausalLM, 0.0),
}


def make(loss: Any, targets: str) -> Loss:
    """The loss of a name or a user's function. Raises where these targets do not go with it."""
    checks.choice("targets", targets, get_args(Targets))
    if callable(loss):
        if targets != "label":
            raise ValueError(f"targets: expected 'label' with a loss of your own, got {targets!r}")
        return UserLoss(loss)
    checks.choice("loss", loss, get_args(LossName))
    if loss == "mse" and targets == "uniform":
        raise ValueError("targets: expected 'label' or 'random' with loss='mse', got 'uniform'")
    return LOSSES[loss]()


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _tensor(labels: Any) -> None:
    if not isinstance(labels, torch.Tensor):
        raise ValueError(f"batch: expected labels as a tensor, got {type(labels).__name__}")


def _within(labels: torch.Tensor, n_classes: int) -> None:
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise ValueError(
            f"batch: expected labels in [0, {n_classes - 1}], got {int(labels.min())} to "
            f"{int(labels.max())}"
        )


def _classes(out: torch.Tensor, u: torch.Tensor, uniform: bool) -> torch.Tensor:
    """Classes (...) for logits (..., C), at the quantiles u (...) of the distribution that the
    logits predict, or of the uniform one."""
    if uniform:
        return (u * out.shape[-1]).long()
    cdf = torch.softmax(out.double(), dim=-1).cumsum(dim=-1)
    found = torch.searchsorted(cdf, u[..., None] * cdf[..., -1:]).squeeze(-1)
    return found.clamp(max=out.shape[-1] - 1)  # NaN logits would give C; the gradients report them
