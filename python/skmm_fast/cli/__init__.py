"""The command `skmm-fast`."""

from .main import main

__all__ = ["main"]
