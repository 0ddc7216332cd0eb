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
    if not isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        raise TypeError(
            f"scale: expected a torch.optim.Adam or AdamW, got {type(optimizer).__name__}"
        )
    group_of = {p: group for group in optimizer.param_groups for p in group["params"]}
    found = {}
    for name, p in parameters.items():
        state = optimizer.state.get(p, {})
        if "exp_avg" not in state:
            raise ValueError(
                f"scale: expected an optimizer that has made a step on {name!r}, got one without "
                "moments of it; it must be that of this model, not of a copy"
            )
        if group_of[p]["amsgrad"] or group_of[p]["maximize"]:
            raise ValueError("scale: expected Adam without amsgrad and maximize, got one of them")
        found[name] = AdamUpdate(state, group_of[p])
    return found
