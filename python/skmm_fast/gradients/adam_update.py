"""The update that Adam would make of a parameter by the gradient of one sample alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class AdamUpdate:
    """The update of one parameter: what a step subtracts, divided by the learning rate, without
    weight decay. It reads the optimizer as it is when it is called."""

    state: Mapping[str, Any]  # torch's: exp_avg, exp_avg_sq and step
    group: Mapping[str, Any]  # torch's: betas and eps

    def __call__(self, G: torch.Tensor) -> torch.Tensor:
        """(B, size) The updates by each of the gradients G (B, size)."""
        (beta, beta_sq), t = self.group["betas"], int(self.state["step"]) + 1
        mean, square = (x.to(G).flatten() for x in self.moments)
        mean = (beta * mean + (1 - beta) * G) / (1 - beta**t)
        square = (beta_sq * square + (1 - beta_sq) * G * G) / (1 - beta_sq**t)
        updates: torch.Tensor = mean / (square.sqrt() + self.group["eps"])
        return updates

    @property
    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The running means of gradients and of their squares, of the parameter's shape."""
        return self.state["exp_avg"], self.state["exp_avg_sq"]

    @property
    def parts(self) -> list[Any]:
        """What an update depends on beside the gradient, for a digest."""
        return [*self.moments, int(self.state["step"]), *self.group["betas"], self.group["eps"]]


def updates_of(
    optimizer: Any, parameters: Mapping[str, torch.nn.Parameter]
) -> dict[str, AdamUpdate]:
    """The updates of these parameters, by their names. Raises TypeError or ValueError for another
    optimizer, or one that has not stepped on all of them."""
    return {name: AdamUpdate(*moments_of(optimizer, name, p)) for name, p in parameters.items()}


def moments_of(
    optimizer: Any, name: str, parameter: torch.nn.Parameter
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The state of a parameter in Adam, and the group of settings that it is in. Raises TypeError
    or ValueError for another optimizer, or one that has not stepped on it."""
    optimizer = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    if not isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        raise TypeError(
            "scale: expected a dict of tensors, a function, or a torch.optim.Adam or AdamW, got "
            f"{type(optimizer).__name__}"
        )
    state = optimizer.state.get(parameter, {})
    if "exp_avg" not in state:
        raise ValueError(
            f"scale: expected an optimizer that has made a step on {name!r}, got one without "
            "moments of it; it must be that of this model, not of a copy"
        )
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    if group["amsgrad"] or group["maximize"]:
        raise ValueError("scale: expected Adam without amsgrad and maximize, got one of them")
    return state, group
