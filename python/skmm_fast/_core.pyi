"""The compiled core. It checks memory only: call it through the modules beside it."""

import enum
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

_Floats: TypeAlias = npt.NDArray[Any]  # float32 or float64
_Entries: TypeAlias = npt.NDArray[Any]  # or float16, or the bits of bfloat16 as uint16
_Indices: TypeAlias = npt.NDArray[np.int64]
_Doubles: TypeAlias = npt.NDArray[np.float64]
_Tick: TypeAlias = Callable[[int], object] | None

class _Rows(Protocol):  # that are not in memory
    @property
    def shape(self) -> tuple[int, int]: ...
    def array(self, rows: _Indices) -> _Floats: ...
    def row_norms(self, d: _Doubles, n_threads: int, /) -> _Doubles: ...
    def column_squares(self, s: _Doubles, n_threads: int, /) -> _Doubles: ...
    def square_dots(self, u: _Doubles, n_threads: int, /) -> _Doubles: ...
    def dots(self, u: _Doubles, n_threads: int, /) -> _Doubles: ...

isa: str

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
    z: _Floats, s: _Doubles | None = None, n_threads: int = 1, progress: _Tick = None
) -> _Doubles: ...
def row_norms(
    z: _Floats,
    d: _Doubles,
    rows: _Indices | None = None,
    n_threads: int = 1,
    progress: _Tick = None,
) -> _Doubles: ...
def multiply(
    z: _Floats,
    d: _Doubles,
    rows: _Indices | None,
    out: _Floats,
    n_threads: int,
    progress: _Tick = None,
) -> None: ...
def column_squares(
    y: _Floats, s: _Doubles | None = None, n_threads: int = 1, progress: _Tick = None
) -> _Doubles: ...
def square_dots(
    z: _Floats, u: _Doubles, n_threads: int = 1, progress: _Tick = None
) -> _Doubles: ...
def dots(z: _Floats, u: _Doubles, n_threads: int = 1, progress: _Tick = None) -> _Doubles: ...
def match_moments(
    y: _Floats | _Rows,
    target: _Doubles,
    weight: _Doubles,
    cap: float,
    groups: list[tuple[int, int]],
    start: _Doubles,
    tol: float,
    max_iter: int,
    n_threads: int,
    progress: _Tick = None,
    callback: Callable[[int, float, float], bool | None] | None = None,
) -> tuple[_Doubles, float, float, float, bool, int, _Doubles, _Doubles, _Doubles, _Doubles]: ...
def project_capped_simplex(v: _Doubles, cap: float, total: float, n_threads: int) -> _Doubles: ...
def support(g: _Doubles, cap: float, count: int, slack: float, n_threads: int) -> float: ...
def draw_systematic(pi: _Doubles, n: int, seed: int, order: _Indices | None = None) -> _Indices: ...
def draw_pivotal(pi: _Doubles, n: int, seed: int, order: _Indices | None = None) -> _Indices: ...
def draw_subset(n_rows: int, n: int, seed: int, which: int = 0) -> _Indices: ...
def random_order(n_rows: int, seed: int, which: int = 0) -> _Indices: ...

class Sampler(enum.Enum):
    greedy = 0
    linear = 1
    exp = 2

def v_optimal(
    z: _Floats | _Rows,
    b: _Doubles,
    n: int,
    block: int,
    sampler: Sampler,
    temperature: float,
    ridge: float,
    refine: bool,
    enough: float,
    seed: int,
    group: npt.NDArray[np.int32],
    quota: list[int],
    include: list[int],
    start: list[int],
    n_threads: int,
    progress: _Tick = None,
) -> tuple[_Indices, int]: ...
def pursue(
    z: _Floats | _Rows,
    n: int,
    q: _Doubles,
    drift: _Doubles,
    response: _Doubles | None,
    penalty: _Doubles,
    group: npt.NDArray[np.int32],
    quota: list[int],
    include: list[int],
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
def cover(
    z: _Floats | _Rows,
    n: int,
    turn: int,
    own: _Doubles,
    seed: int,
    group: npt.NDArray[np.int32],
    quota: list[int],
    include: list[int],
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
def pivot(
    z: _Floats | _Rows,
    n: int,
    norm: _Doubles,
    seed: int,
    group: npt.NDArray[np.int32],
    quota: list[int],
    include: list[int],
    n_threads: int,
    progress: _Tick = None,
) -> _Indices: ...
