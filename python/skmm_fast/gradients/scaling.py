"""Diagonal scales of gradients: a number for each entry of each chosen parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from .adam_update import moments_of

# (name, parameter) -> numbers of the parameter's shape.
ScaleFunction = Callable[[str, torch.nn.Parameter], torch.Tensor]
Scale = Mapping[str, torch.Tensor] | ScaleFunction


def adam_scale(optimizer: torch.optim.Optimizer) -> ScaleFunction:
    """The scale by which Adam multiplies gradients, 1/(√v̂ + ε), as a function for `scale`.

    Entries that have never had a gradient (rows of an embedding for tokens that did not occur) have
    the scale 0: theirs would be 1/ε, beside which no other counts.

    The sketch is then of the direction in which Adam moves by the gradient of a sample, without its
    momentum. LESS takes the whole update instead, `scale=optimizer`, for the samples of the pool.

    Parameters
    ----------
    optimizer : torch.optim.Adam or AdamW
        One that has made steps. Its second moments are read when a sketcher is made.

    Returns
    -------
    callable
        (name, parameter) -> a tensor of the parameter's shape.

    Raises
    ------
    TypeError, ValueError
        Another optimizer; and when it is called with a parameter of which there are no moments.

    Notes
    -----
    Adam: Kingma and Ba, arXiv 1412.6980, algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from skmm_fast.gradients import GradientSketcher, adam_scale
    >>> model = torch.nn.Linear(8, 3)
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> model(torch.randn(5, 8)).square().sum().backward()
    >>> optimizer.step()
    >>> options = {"params": "all", "sketch_dim": 16, "scale": adam_scale(optimizer)}
    >>> sketcher = GradientSketcher(model.eval(), **options)
    >>> sketcher((torch.randn(5, 8), torch.arange(5) % 3)).shape
    torch.Size([5, 16])
    """

    def scale(name: str, parameter: torch.nn.Parameter) -> torch.Tensor:
        state, group = moments_of(optimizer, name, parameter)
        second = state["exp_avg_sq"]
        square = second.to(torch.promote_types(second.dtype, torch.float32))
        square = square / (1 - group["betas"][1] ** int(state["step"]))
        made: torch.Tensor = (square > 0) / (square.sqrt() + group["eps"])
        return made

    return scale


def scales_of(
    scale: Scale,
    parameters: Mapping[str, torch.nn.Parameter],
    known: Mapping[str, Any],
    dtype: torch.dtype,
) -> dict[str, torch.Tensor]:
    """The scales (size,) of these parameters by their names, on their devices.

    `known` are the names of all parameters of the model. Raises TypeError or ValueError for names
    that are missing or unknown, other shapes, and numbers that are not finite.
    """
    if isinstance(scale, torch.nn.ParameterDict):
        scale = dict(scale.items())
    if isinstance(scale, Mapping):
        missing = [name for name in parameters if name not in scale]
        unknown = [name for name in scale if name not in known]
        if missing or unknown:
            raise ValueError(
                "scale: expected a tensor for each chosen parameter, and names of parameters, got "
                + (f"none for {missing[0]!r}" if missing else f"{unknown[0]!r}")
            )
    found = {}
    for name, p in parameters.items():
        given = scale[name] if isinstance(scale, Mapping) else scale(name, p)
        if not isinstance(given, torch.Tensor) or given.shape != p.shape:
            got = tuple(given.shape) if isinstance(given, torch.Tensor) else type(given).__name__
            raise ValueError(
                f"scale: expected a tensor of shape {tuple(p.shape)} for {name!r}, got {got}"
            )
        flat = given.detach().to(p.device, dtype).flatten()
        if not flat.isfinite().all():
            raise ValueError(f"scale: expected finite numbers for {name!r}, got NaN or Inf")
        found[name] = flat
    return found
