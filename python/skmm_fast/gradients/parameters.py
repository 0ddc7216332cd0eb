"""Which parameters of a model are chosen, and where their gradients lie among the r coordinates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch

Params = str | Sequence[str] | Callable[[str, torch.nn.Parameter], bool]


@dataclass(frozen=True)
class Slot:
    """The coordinates of a parameter: its entries, row-major, from `offset` on."""

    name: str
    offset: int
    shape: torch.Size

    @property
    def size(self) -> int:
        return self.shape.numel()


def slots(model: torch.nn.Module, params: Params) -> dict[str, Slot]:
    """The chosen parameters by name, in the model's order. Tied ones count once."""
    named = dict(model.named_parameters())
    found, offset = {}, 0
    for name in _names(model, params):
        found[name] = Slot(name, offset, named[name].shape)
        offset += found[name].size
    return found


def owners(
    model: torch.nn.Module, chosen: dict[str, Slot]
) -> dict[torch.nn.Module, dict[str, Slot]]:
    """Modules with chosen parameters of their own, by the names that these have there."""
    slot_of = {id(p): chosen[name] for name, p in model.named_parameters() if name in chosen}
    found = {}
    for module in model.modules():
        own = module.named_parameters(recurse=False, remove_duplicate=False)
        at = {name: slot_of[id(p)] for name, p in own if id(p) in slot_of}
        if at:
            found[module] = at
    return found


def _names(model: torch.nn.Module, params: Params) -> list[str]:
    named = dict(model.named_parameters())
    if callable(params):
        names = [name for name, p in named.items() if params(name, p)]
    elif params == "all":
        names = list(named)
    elif params == "trainable":
        names = [name for name, p in named.items() if p.requires_grad]
    elif params in ("last", "last-2"):
        last = 1 if params == "last" else 2
        own = {id(p) for layer in _layers(model)[-last:] for p in layer.parameters(recurse=False)}
        names = [name for name, p in named.items() if id(p) in own]
    else:
        patterns = [params] if isinstance(params, str) else params
        if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
            raise TypeError(f"params: expected names, patterns or a predicate, got {params!r}")
        matched = set()
        for pattern in patterns:
            hits = {
                id(p)
                for name, p in model.named_parameters(remove_duplicate=False)
                if fnmatchcase(name, pattern)
            }
            if not hits:
                raise ValueError(
                    f"params: expected names or patterns of parameters ({_some(list(named))}), "
                    f"got {pattern!r}"
                )
            matched |= hits
        names = [name for name, p in named.items() if id(p) in matched]
    if not names:
        raise ValueError(f"params: expected at least one parameter, got none with {params!r}")
    return names


def _layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Modules with a matrix or filters of their own; normalisation layers have vectors only."""
    return [m for m in model.modules() if any(p.ndim > 1 for p in m.parameters(recurse=False))]


def _some(names: list[str]) -> str:
    return ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-5:]])
