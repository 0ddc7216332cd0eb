"""The process group of the processes that torchrun or srun started for one command."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .._support.optional import need
from .._support.ranks import RankError
from .part import process_of

TIMEOUT = 600  # seconds that processes wait for each other, by default


@contextmanager
def process_group(environ: Mapping[str, str], timeout: float) -> Iterator[bool]:
    """A process group of the processes that torchrun started, or srun with MASTER_ADDR and
    MASTER_PORT, where they are several. Gives whether this process is the first, or the only one.

    Raises ValueError where nothing says where the processes meet, and RankError where not all of
    them come.
    """
    process = process_of(environ)
    if process is None or process.of == 1:
        yield True
        return
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if not environ.get(name):
            raise ValueError(
                f"{name}: expected where {process.of} processes meet, got nothing; torchrun says "
                "it, and with srun export the name of a node and a free port"
            )
    distributed = need("torch", "torch").distributed
    try:
        distributed.init_process_group(
            "gloo", rank=process.number, world_size=process.of,
            timeout=datetime.timedelta(seconds=timeout),
        )  # fmt: skip
    except RuntimeError as error:
        raise RankError(
            f"process {process.number} of {process.of}: the others did not all come to "
            f"{environ['MASTER_ADDR']}:{environ['MASTER_PORT']} within {timeout:.0f} s ({error})"
        ) from None
    try:
        yield process.number == 0
    finally:
        distributed.destroy_process_group()
