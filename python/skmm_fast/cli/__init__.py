"""The command `skmm-fast`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .terminal import terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0 is success; 1 an error that the user can mend, reported in one line; 2 a wrong command line;
    130 a keyboard interrupt.
    """
    with terminal():
        try:
            from .app import run
        except ImportError as error:  # without the extra
            print(f"skmm-fast: {error}", file=sys.stderr)
            return 1
        return run(sys.argv[1:] if argv is None else list(argv))


__all__ = ["main"]
