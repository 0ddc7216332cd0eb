"""Properties that are computed once, without a lock.

The cached_property of Python 3.10 and 3.11 holds a lock of the whole class while it computes. So
threads that select from different pools wait for each other, and a child that is forked during a
computation waits for ever.
"""

import functools
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property(functools.cached_property):
        """Two threads that ask at the same time both compute the value."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            if instance is None:
                return self
            value = self.func(instance)
            instance.__dict__[self.attrname] = value
            return value


__all__ = ["cached_property"]
