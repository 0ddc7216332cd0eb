"""The compiled core. It checks memory only (types, strides, sizes), so call it through the package.

`out` is an array that a function fills or adds to; an `_Tick` is told how much work is done.
"""

import enum
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[Any]  # float32 or float64
_Entries: TypeAlias = npt.NDArray[Any]  # float16, 32 or 64, or the bits of bfloat16
_Indices: TypeAlias = npt.NDArray[np.int64]
_Doubles: TypeAlias = npt.NDArray[np.float64]
_Tick: TypeAlias = Callable[[int], object] | None

class HalfRows:
    """Rows (N, k) of 16-bit floats; if scaled, each has an exponent of 2 behind it."""

    def __init__(self, z: npt.NDArray[np.float16], scaled: bool) -> None: ...
    def widen(self, out: npt.NDArray[np.float32], n_threads: int) -> None: ...

_Rows: TypeAlias = _Floats | HalfRows

# Rows Z (N, m) that are not in the host's memory: the core calls these methods and never reads Z.
class _RowMatrix(Protocol):
    @property
    def shape(self) -> tuple[int, int]: ...
    def array(self, rows: _Indices) -> _Floats: ...
    def row_norms(self, d: _Doubles, n_threads: int, /) -> _Doubles: ...
    def column_squares(self, s: _Doubles, n_threads: int, /) -> _Doubles: ...
    def square_dots(self, u: _Doubles, n_threads: int, /) -> _Doubles: ...
    def dots(self, u: _Doubles, n_threads: int, /) -> _Doubles: ...

# The processes that hold rows of one matrix.
class _Ranks(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def rank(self) -> int: ...
    def gather(self, numbers: _Doubles, /) -> _Doubles: ...  # (count,) -> (size, count)

class Strips:
    def __init__(self, n_rows: int, ranks: _Ranks | None = None) -> None: ...
    @property
    def n_rows(self) -> int: ...  # here
    def of_some(self, rows: _Indices) -> Strips: ...

isa: str

def inner(a: _Doubles, b: _Doubles, strips: Strips, n_threads: int) -> float: ...
def rows_of_rank(n_rows: int, size: int, rank: int) -> tuple[int, int]: ...  # [first, last)
def run_serially() -> None: ...
def default_threads() -> int: ...
def team_size(n_threads: int) -> int: ...
def philox(counter: tuple[int, int, int, int], key: int) -> list[int]: ...
def random_target_uniforms(ids: _Indices, seed: int, entries: int) -> _Doubles: ...

class _Sketch:
    def sketch_dense(
        self,
        a: _Entries,
        col_offset: int,
        accumulate: bool,
        n_threads: int,
        out: _Floats,
        progress: _Tick = None,
    ) -> None: ...
    def sketch_outer(
        self,
        left: _Floats,
        right: _Floats,
        col_offset: int,
        accumulate: bool,
        n_threads: int,
        out: _Floats,
        progress: _Tick = None,
    ) -> None: ...
    def sketch_csr(
        self,
        values: _Floats,
        indices: npt.NDArray[Any],
        indptr: npt.NDArray[Any],
        cols: int,
        col_offset: int,
        accumulate: bool,
        n_threads: int,
        out: _Floats,
        progress: _Tick = None,
    ) -> None: ...
    def rows(self, start: int, out: npt.NDArray[np.float32]) -> None: ...

class SparseSign(_Sketch):
    def __init__(self, in_dim: int, out_dim: int, nnz_per_row: int, seed: int) -> None: ...

class GroupedSign(_Sketch):
    def __init__(self, in_dim: int, out_dim: int, seed: int) -> None: ...

class Gaussian(_Sketch):
    def __init__(self, in_dim: int, out_dim: int, seed: int) -> None: ...

def second_moment(
    z: _Rows,
    s: _Doubles | None = None,
    n_threads: int = 1,
    progress: _Tick = None,
    strips: Strips | None = None,
) -> _Doubles: ...
def row_norms(
    z: _Rows,
    d: _Doubles,
    rows: _Indices | None = None,
    n_threads: int = 1,
    progress: _Tick = None,
) -> _Doubles: ...
def multiply(
    z: _Rows,
    d: _Doubles,
    rows: _Indices | None,
    out: _Floats,
    n_threads: int,
    progress: _Tick = None,
) -> None: ...
def multiply_rounded(
    z: _Rows,
    d: _Doubles,
    rows: _Indices | None,
    out: _Floats,
    n_threads: int,
    progress: _Tick = None,
) -> None: ...
def sum_unit_rows(
    z: _Rows,
    cell: _Indices,
    cells: int,
    rows: _Indices | None = None,
    n_threads: int = 1,
    progress: _Tick = None,
) -> _Doubles: ...
def spherical_centres(
    z: _Rows,
    rows: _Indices,
    first: _Indices,
    first_centre: _Indices,
    seeds: npt.NDArray[np.uint64],
    sweeps: int,
    n_threads: int = 1,
    progress: _Tick = None,
) -> _Doubles: ...
def nearest_centre(
    z: _Rows,
    rows: _Indices,
    first: _Indices,
    first_centre: _Indices,
    centres: _Doubles,
    n_threads: int = 1,
    progress: _Tick = None,
) -> tuple[_Indices, _Doubles]: ...
def draw_candidates(
    first: _Indices,
    first_slot: _Indices,
    rows: _Indices,
    held: _Indices,
    most: int,
    seed: int,
    which: int,
) -> tuple[_Indices, _Indices, _Indices]: ...
def exchange_in_cells(
    b: _Floats,
    first: _Indices,
    first_slot: _Indices,
    rows: _Indices,
    weight: _Doubles,
    slot: _Indices,
    residual: _Doubles,
) -> tuple[_Indices, _Doubles, int]: ...
def column_squares(
    y: _Rows,
    s: _Doubles | None = None,
    n_threads: int = 1,
    progress: _Tick = None,
    strips: Strips | None = None,
) -> _Doubles: ...
def square_dots(z: _Rows, u: _Doubles, n_threads: int = 1, progress: _Tick = None) -> _Doubles: ...
def dots(z: _Rows, u: _Doubles, n_threads: int = 1, progress: _Tick = None) -> _Doubles: ...

class FreeRows:
    @property
    def rows(self) -> _Indices: ...
    @property
    def sizes(self) -> list[int]: ...  # of the groups, on all ranks
    @property
    def counts(self) -> list[int]: ...  # how many of each group to choose
    @property
    def strips(self) -> Strips: ...
    def positions(self, group: int) -> _Indices: ...  # in `rows`, ascending

class Constraints:
    def __init__(
        self,
        n_rows: int,
        group: npt.NDArray[np.int32] | None,
        counts: list[int],
        include: list[int],
        strips: Strips | None = None,
    ) -> None: ...
    def free_rows(self, strips: Strips | None = None) -> FreeRows: ...

class MomentFit:
    @property
    def s(self) -> _Doubles: ...
    @property
    def objective(self) -> float: ...
    @property
    def start(self) -> float: ...
    @property
    def gap(self) -> float: ...
    @property
    def converged(self) -> bool: ...
    @property
    def passes(self) -> int: ...
    @property
    def moments(self) -> _Doubles: ...
    @property
    def objectives(self) -> _Doubles: ...
    @property
    def gaps(self) -> _Doubles: ...
    @property
    def seconds(self) -> _Doubles: ...

def match_moments(
    y: _Rows | _RowMatrix,
    target: _Doubles,
    weight: _Doubles,
    constraints: Constraints,
    start: _Doubles,
    tol: float,
    max_iter: int,
    n_threads: int,
    progress: _Tick = None,
    callback: Callable[[int, float, float], bool | None] | None = None,
    strips: Strips | None = None,
) -> MomentFit: ...
def project(v: _Doubles, free: FreeRows, cap: float, n_threads: int) -> _Doubles: ...
def support(g: _Doubles, free: FreeRows, cap: float, slack: float, n_threads: int) -> float: ...
def draw_systematic(pi: _Doubles, n: int, seed: int, order: _Indices | None = None) -> _Indices: ...
def draw_systematic_on_ranks(
    pi: _Doubles, key: _Indices, n: int, seed: int, strips: Strips
) -> _Indices: ...
def draw_pivotal(pi: _Doubles, n: int, seed: int, order: _Indices | None = None) -> _Indices: ...
def draw_subset(n_rows: int, n: int, seed: int, which: int = 0) -> _Indices: ...
def random_order(n_rows: int, seed: int, which: int = 0) -> _Indices: ...

class Sampler(enum.Enum):
    greedy = 0
    linear = 1
    exp = 2

class Design:
    @property
    def rows(self) -> _Indices: ...
    @property
    def swaps(self) -> int: ...

def v_optimal(
    z: _Rows | _RowMatrix,
    b: _Doubles,
    constraints: Constraints,
    block: int,
    sampler: Sampler,
    temperature: float,
    ridge: float,
    refine: bool,
    pays: float,
    enough: float,
    seed: int,
    start: list[int],
    n_threads: int,
    progress: _Tick = None,
    strips: Strips | None = None,
) -> Design: ...
def herding_pursuit(
    z: _Rows | _RowMatrix,
    constraints: Constraints,
    q: _Doubles,
    drift: _Doubles,
    response: _Doubles | None,
    penalty: _Doubles,
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
def k_center(
    z: _Rows | _RowMatrix,
    constraints: Constraints,
    turn: int,
    own: _Doubles,
    seed: int,
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
def random_pivoting(
    z: _Rows | _RowMatrix,
    constraints: Constraints,
    norm: _Doubles,
    seed: int,
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
