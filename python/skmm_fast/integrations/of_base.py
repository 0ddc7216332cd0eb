"""Classes whose base is another library's: they are made when they are first asked for."""

from __future__ import annotations

import types


def with_base(name: str, own: type, base: type) -> type:
    """The class `name` of the module of `own`: what `own` adds to `base`, with its docstring. Kept
    under its name in that module it can be pickled."""
    made = types.new_class(name, (own, base))
    made.__module__, made.__doc__ = own.__module__, own.__doc__
    return made
