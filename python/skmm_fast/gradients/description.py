"""What a value is, as far as it can be seen: functions with what they close over, objects with
their attributes, modules with their state.

Two values of one description compute the same, unless they differ in what was `unseen`: objects
that keep their state in another language, files, connections. Functions and classes of installed
packages are known by their names, those of the user by their code.
"""

from __future__ import annotations

import enum
import functools
import os
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from .digests import digest

PLAIN = (str, bytes, int, float, complex, type(None), type(...), torch.dtype, slice, range)
FUNCTIONS = (types.BuiltinFunctionType, types.MethodDescriptorType, types.MethodWrapperType)
# Attributes that say where a thing is from, and change no number.
OF_ORIGIN = {"_name_or_path", "name_or_path", "transformers_version", "_commit_hash"}
MANY = 10_000  # values that one description holds
LISTED = 40  # parts that its text has, beside the first
SHOWN = 60  # characters of a value that it shows; longer ones are digested
# Attributes of modules: those of all, and those that other fields of a fingerprint show.
_OF_EVERY_MODULE = frozenset(vars(torch.nn.Module()))
_OF_ADAPTERS = {"peft_config", "active_adapter", "_active_adapter"}


class Description:
    """The parts of a value: a path in it, such as "weight", and what is there."""

    def __init__(self, value: Any, name: str = "", known: Mapping[str, Any] | None = None) -> None:
        """`known` are values that are described elsewhere, by name."""
        self.parts: dict[str, str] = {}
        self.unseen: list[str] = []  # what could not be seen, with its type
        self._seen = {id(v): (k, v) for k, v in (known or {}).items()}  # kept: ids are used again
        self._add(name, value)

    def __str__(self) -> str:
        """The first part, then others as "path=value"; of many, a digest stands for the last."""
        first, *others = self.parts.items()
        said = [first[1], *(f"{path}={text}" for path, text in others[:LISTED])]
        if len(others) > LISTED:
            said.append(f"{len(others) - LISTED} others {digest(others[LISTED:])[:16]}")
        return "; ".join(said)

    def digest(self) -> str:
        return digest(self.parts)

    def _add(self, path: str, value: Any) -> None:
        if isinstance(value, PLAIN) and not isinstance(value, enum.Enum):
            text = repr(value)
            self.parts[path] = text if len(text) <= SHOWN else f"{text[:20]}… {digest(text)[:16]}"
        elif id(value) in self._seen:
            self.parts[path] = f"as {self._seen[id(value)][0] or 'the whole'}"
        elif len(self._seen) >= MANY:
            self._hide(path, f"more than {MANY} values")
        else:
            self._seen[id(value)] = (path, value)
            try:
                self._add_new(path, value)
            except Exception as error:  # of the value's own code
                self._hide(path, f"{type(value).__name__} ({type(error).__name__})")

    def _add_new(self, path: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            self.parts[path] = f"{value.dtype}{tuple(value.shape)} {digest(value)[:16]}"
        elif isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
            self.parts[path] = f"{value.dtype}{value.shape} {digest(np.asarray(value))[:16]}"
        elif isinstance(value, (list, tuple, Mapping, set, frozenset)):
            self._add_items(path, value)
        elif isinstance(value, functools.partial):
            self._add_all(path, "partial", func=value.func, args=value.args, **value.keywords)
        elif isinstance(value, types.MethodType):
            self._add_all(path, "method", of=value.__self__, function=value.__func__)
        elif isinstance(value, (types.FunctionType, types.CodeType)):
            self._add_function(path, value)
        elif isinstance(value, types.ModuleType):
            self.parts[path] = f"module {value.__name__}"
        elif isinstance(value, type):
            self._add_class(path, value)
        elif isinstance(value, (enum.Enum, torch.device, PurePath)):
            self.parts[path] = "a device" if isinstance(value, torch.device) else str(value)
        elif isinstance(value, torch.nn.Module):
            self._add_class(path, type(value))
            for name, part in state_of(value):
                self._add(f"{path}.{name}".lstrip("."), part)
        elif isinstance(value, torch.jit.ScriptFunction):
            self.parts[path] = f"{value.name} {digest(value.code)[:16]}"
        elif isinstance(value, FUNCTIONS):
            self.parts[path] = named(value)
        else:
            self._add_object(path, value)

    def _add_all(self, path: str, text: str, **values: Any) -> None:
        self.parts[path] = text
        for name, value in values.items():
            self._add(f"{path}.{name}".lstrip("."), value)

    def _add_items(self, path: str, values: Any) -> None:
        self.parts[path] = f"{type(values).__name__} of {len(values)}"
        if isinstance(values, (set, frozenset)):  # their order is that of a process
            described = [Description(value) for value in values]
            self.unseen += [u for d in described for u in d.unseen]
            self.parts[path] += f" {digest(sorted(d.digest() for d in described))[:16]}"
            return
        items = values.items() if isinstance(values, Mapping) else enumerate(values)
        for key, value in items:
            name = key if isinstance(key, (str, int)) else Description(key).digest()[:16]
            self._add(f"{path}[{name}]", value)

    def _add_function(self, path: str, function: Any) -> None:
        """Its name and, for those of the user, its code, what it closes over, its defaults, and the
        functions and values of its module that it names."""
        if isinstance(function, types.CodeType):
            self.parts[path] = digest(function)[:16]
            return
        if is_installed(function.__module__):
            self.parts[path] = named(function)
            return
        code = function.__code__
        self.parts[path] = f"{function.__qualname__} {digest(code)[:16]}"
        defaults = {
            **dict(enumerate(function.__defaults__ or ())),
            **(function.__kwdefaults__ or {}),
        }
        for name, value in defaults.items():
            self._add(f"{path}.default {name}".lstrip("."), value)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            with_value = cell.cell_contents if _is_full(cell) else None
            self._add(f"{path}.{name}".lstrip("."), with_value)
        names = _names(code)
        for name in sorted(names & function.__globals__.keys()):
            value = function.__globals__[name]
            self._add(f"{path}.global {name}".lstrip("."), value)
            if isinstance(value, types.ModuleType) and not is_installed(value.__name__):
                for inside in sorted(names & vars(value).keys()):
                    self._add(f"{path}.global {name}.{inside}".lstrip("."), vars(value)[inside])

    def _add_class(self, path: str, cls: type) -> None:
        """Its name and, for those of the user, what its methods are; not its module, which is
        another where a script is imported."""
        self.parts[path] = named(cls) if is_installed(cls.__module__) else cls.__qualname__
        if not is_installed(cls.__module__):
            for name, member in vars(cls).items():
                function = getattr(member, "__func__", getattr(member, "fget", None) or member)
                if isinstance(function, types.FunctionType):
                    self._add(f"{path}.{name}".lstrip("."), function)
                elif isinstance(member, (*PLAIN, torch.Tensor, np.ndarray)) and name[:2] != "__":
                    self._add(f"{path}.{name}".lstrip("."), member)

    def _add_object(self, path: str, value: Any) -> None:
        self._add_class(path, type(value))
        if is_installed(type(value).__module__) and callable(getattr(value, "to_dict", None)):
            state = value.to_dict()  # a configuration of transformers, say
        else:
            state = _attributes(value)
        if state is None:
            function, arguments, *more = value.__reduce_ex__(4)
            state = {"by": function, "of": arguments, "state": more[0] if more else None}
            state |= {f"items {i}": list(items) for i, items in enumerate(more[1:3]) if items}
        for name, part in state.items():
            if name not in OF_ORIGIN:
                self._add(f"{path}.{name}".lstrip("."), part)

    def _hide(self, path: str, what: str) -> None:
        self.parts[path] = "unseen"
        self.unseen.append(f"{path or 'the value'}: {what}")


def state_of(module: torch.nn.Module, unchanged: Callable[[str, str], bool] | None = None) -> Any:
    """(path, value) of what a module and its parts hold: parameters and buffers, extra state,
    attributes of their own, forward hooks.

    `unchanged` says of a part and an attribute whether it is the same as before a batch.
    """
    yield from module.named_parameters()
    yield from module.named_buffers()
    yield from hidden_state_of(module, unchanged)


def hidden_state_of(
    module: torch.nn.Module, unchanged: Callable[[str, str], bool] | None = None
) -> Iterator[tuple[str, Any]]:
    """`state_of` but parameters and buffers."""
    shown = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    shown |= {name for name, _ in module.named_buffers(remove_duplicate=False)}
    for name, value in module.state_dict().items():
        if name not in shown:
            yield name, value
    for cls in {type(part): None for part in module.modules()}:
        if not is_installed(cls.__module__):
            yield f"class {cls.__qualname__}", cls
    for path, part in module.named_modules():
        for name, value in attributes_of(part):
            if unchanged is None or unchanged(path, name):
                yield f"{path}.{name}".lstrip("."), value
        if isinstance(part, torch.jit.ScriptModule):
            with suppress(RuntimeError):  # it has no forward
                code, constants = part.code_with_constants
                yield f"{path}.code".lstrip("."), [code, constants.const_mapping]
        for hooks in ("_forward_hooks", "_forward_pre_hooks"):
            for i, hook in enumerate(getattr(part, hooks).values()):
                yield f"{path}.{hooks}[{i}]".lstrip("."), hook


def attributes_of(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """(name, value) of the attributes that a module has beside those of every module, and those
    that its `repr` shows where it is one of torch's."""
    own = type(module)
    compiled = own.__module__.startswith("torch._dynamo")  # it is the one inside
    if compiled or isinstance(module, torch.jit.ScriptModule):
        return
    shown = own.__module__.startswith("torch.nn.") and (
        own.extra_repr is not torch.nn.Module.extra_repr
    )
    for name, value in vars(module).items():
        if name in _OF_EVERY_MODULE or name in OF_ORIGIN or name in _OF_ADAPTERS:
            continue
        if not (shown and isinstance(value, (*PLAIN, tuple))):
            yield name, value


Identity = tuple[Any, int | None]  # a value, and how often a tensor was changed in place


def identities(module: torch.nn.Module) -> dict[tuple[str, str], Identity]:
    """The attributes of a module and its parts, by part and name, to be compared by `is_same` with
    those at another time."""
    found = {}
    for path, part in module.named_modules():
        for name, value in attributes_of(part):
            changeable = isinstance(value, torch.Tensor) and not value.is_inference()
            found[path, name] = value, value._version if changeable else None
    return found


def is_same(a: Identity | None, b: Identity | None) -> bool:
    """Whether an attribute is the same value as before, or an equal number or string."""
    if a is None or b is None or a[1] != b[1]:
        return False
    return a[0] is b[0] or (isinstance(a[0], PLAIN) and type(a[0]) is type(b[0]) and a[0] == b[0])


def named(value: Any) -> str:
    """The module and the name of a function or class."""
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if name is None:
        return named(type(value))
    module = getattr(value, "__module__", None) or ""
    return f"{module}.{name}".lstrip(".")


def is_installed(module: str | None) -> bool:
    """Whether a module is of Python or of an installed package: not the user's own code."""
    found = sys.modules.get(module or "__main__")
    file = getattr(found, "__file__", None)
    if found is None or module == "__main__":
        return False
    if file is None or re.search(r"[/\\](site|dist)-packages[/\\]", file):
        return True
    return bool(os.path.abspath(file).startswith(sysconfig.get_paths()["stdlib"] + os.sep))


def _names(code: types.CodeType) -> set[str]:
    """The names that code, and code inside it, looks up."""
    inside = (_names(c) for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*inside)


def _is_full(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes of an object, or None where it keeps its state elsewhere."""
    slots = [s for cls in type(value).__mro__ for s in _slots(cls)]
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    if hasattr(value, "__dict__"):
        found |= vars(value)
    elif not slots:
        return None
    return found


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(s for s in names if s not in ("__dict__", "__weakref__"))
