"""Which parameters of a model are chosen, and where their gradients lie among the r coordinates.

The r coordinates of a gradient are the entries of the chosen parameters, one parameter after the
other in the order of `model.named_parameters()`, each flattened row-major.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile

import torch
from torch.nn.utils.parametrize import is_parametrized

Params = str | Sequence[str] | Callable[[str, torch.nn.Parameter], bool]


@dataclass(frozen=True)
class Slot:
    """The coordinates [offset, offset + size) of a parameter: its entries in row-major order."""

    name: str
    offset: int
    shape: torch.Size  # the shape of the parameter

    @property
    def size(self) -> int:
        return self.shape.numel()


def slots(model: torch.nn.Module, params: Params) -> dict[str, Slot]:
    """The slots of the chosen parameters by name, in the model's order. Tied parameters have one
    slot, under the first of their names."""
    named = dict(model.named_parameters())
    found, offset = {}, 0
    for name in _names(model, params):
        found[name] = Slot(name, offset, named[name].shape)
        offset += found[name].size
    return found


def owners(
    model: torch.nn.Module, chosen: dict[str, Slot]
) -> dict[torch.nn.Module, dict[str, Slot]]:
    """The modules that hold chosen parameters directly, each with the slots of these parameters by
    their names in the module ("weight", "bias"). A tied parameter appears in several modules."""
    slot_of = {id(p): chosen[name] for name, p in model.named_parameters() if name in chosen}
    found = {}
    for module in model.modules():
        own = module.named_parameters(recurse=False, remove_duplicate=False)
        own_slots = {name: slot_of[id(p)] for name, p in own if id(p) in slot_of}
        if own_slots:
            found[module] = own_slots
    return found


def around(model: torch.nn.Module, names: Collection[str]) -> dict[str, list[str]]:
    """For each of the parameters `names`, the names of the modules that hold all places where it
    is, the smallest first; the model itself is not among them."""
    places: dict[int, list[list[str]]] = {}
    for path, p in model.named_parameters(remove_duplicate=False):
        places.setdefault(id(p), []).append(path.split(".")[:-1])
    found = {}
    for name, p in model.named_parameters():
        if name in names:
            levels = zip(*places[id(p)], strict=False)
            shared = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
            found[name] = [".".join(shared[:i]) for i in range(len(shared), 0, -1)]
    return found


def _names(model: torch.nn.Module, params: Params) -> list[str]:
    """The names of the chosen parameters, in the model's order."""
    named = dict(model.named_parameters())
    if callable(params):
        names = [name for name, p in named.items() if params(name, p)]
    elif params == "all":
        names = list(named)
    elif params == "trainable":
        names = [name for name, p in named.items() if p.requires_grad]
    elif params in ("last", "last-2"):
        last = 1 if params == "last" else 2
        own = {id(p) for layer in _layers(model)[-last:] for p in layer}
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
                    f"params: expected names or patterns of parameters ({some(list(named))}), "
                    f"got {pattern!r}"
                )
            matched |= hits
        names = [name for name, p in named.items() if id(p) in matched]
    if not names:
        raise ValueError(f"params: expected at least one parameter, got none with {params!r}")
    return names


def _layers(model: torch.nn.Module) -> list[list[torch.nn.Parameter]]:
    """The parameters of each layer: of a module that holds a parameter of two or more dimensions (a
    matrix, filters). Normalisation layers hold vectors only and do not count.

    A parametrized module (weight_norm, spectral_norm, orthogonal) holds its bias itself, and what
    its weight is computed from in modules inside; it is one layer with all of them.
    """
    inside, found = set(), []
    for module in model.modules():
        if module in inside:
            continue
        own = list(module.parameters(recurse=False))
        if is_parametrized(module):
            assert isinstance(module.parametrizations, torch.nn.Module)
            own += module.parametrizations.parameters()
            inside |= set(module.parametrizations.modules())
        if any(p.ndim > 1 for p in own):
            found.append(own)
    return found


def some(names: list[str]) -> str:
    """The names for an error message, with those in the middle left out where there are many."""
    return ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-5:]])
