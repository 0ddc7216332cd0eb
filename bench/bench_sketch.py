"""Stage 1 beside its limits (a read of G, sgemm with Γ stored) and beside other sketches.

Headline shape: N = 128 dense float32 gradients of r = 300 032 parameters, m = 512, 8 entries per
row of Γ. Random bits are part of our time; where a peer holds Γ in memory, making it is not.
Our kinds, the read and sgemm are timed in turns, so that they meet the same moods of the machine.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

import skmm_fast as skmm
from common import in_turns, save

N, R, M, ZETA = 128, 300_032, 512, 8
HEADLINE = f"dense, N = {N}, r = {R}, m = {M}"
GAUSSIAN_SHAPE = 1024, 100_000
Row = dict[str, Any]


def reader(G: np.ndarray, n_threads: int) -> Callable[[], Any]:
    """A streaming sum over G."""
    tensor = torch.from_numpy(G)

    def read() -> Any:
        torch.set_num_threads(n_threads)
        return tensor.sum()

    return read


def multiplier(G: np.ndarray, Gamma: np.ndarray, n_threads: int) -> Callable[[], Any]:
    """sgemm with Γ in memory."""
    a, b = torch.from_numpy(G), torch.from_numpy(Gamma)

    def multiply() -> Any:
        torch.set_num_threads(n_threads)
        return a @ b

    return multiply


def compare(
    case: str, calls: dict[str, Callable[[], Any]], n_threads: int, entries: int
) -> list[Row]:
    """Times in turns; ratios to the calls named "read of G" and "sgemm, Γ stored", if there."""
    times = in_turns(calls)
    return [
        {
            "case": case,
            "who": who,
            "threads": n_threads,
            "ns per entry": time / entries * 1e9,
            "x read": time / times["read of G"] if "read of G" in times else None,
            "x sgemm": time / times["sgemm, Γ stored"] if "sgemm, Γ stored" in times else None,
        }
        for who, time in times.items()
    ]


def families(r: int) -> dict[str, skmm.Sketch]:
    signs = {f"SparseSign, ζ = {z}": skmm.SparseSign(r, M, nnz_per_row=z) for z in (ZETA, 4, 1)}
    return {**signs, "GroupedSign": skmm.GroupedSign(r, M)}


def applied(sketches: dict[str, skmm.Sketch], G: Any, n_threads: int) -> dict[str, Any]:
    return {who: lambda S=S: S.apply(G, n_threads=n_threads) for who, S in sketches.items()}


def beside_read(G: np.ndarray) -> list[Row]:
    rows = []
    for n_threads in (1, 2):
        calls = {"read of G": reader(G, n_threads), **applied(families(R), G, n_threads)}
        rows += compare(HEADLINE, calls, n_threads, G.size)
    return rows


def headline(rng: np.random.Generator) -> list[Row]:
    G = rng.standard_normal((N, R), dtype=np.float32)
    Gamma = skmm.Gaussian(R, M).toarray()
    rows = beside_read(G)
    for n_threads in (1, 2):
        sketches = {
            f"SparseSign, ζ = {ZETA}": skmm.SparseSign(R, M),
            "Gaussian": skmm.Gaussian(R, M),
        }
        calls = {
            **applied(sketches, G, n_threads),
            "sgemm, Γ stored": multiplier(G, Gamma, n_threads),
        }
        rows += compare(f"beside sgemm, {HEADLINE}", calls, n_threads, G.size)
    for dtype in (torch.float16, torch.bfloat16):
        half = torch.from_numpy(G).to(dtype)
        calls = {
            f"{who}, {dtype}": call
            for who, call in applied(families(R), half, 2).items()
            if who in (f"SparseSign, ζ = {ZETA}", "GroupedSign")
        }
        rows += compare(HEADLINE, calls, 2, G.size)
    return rows


def one_row(rng: np.random.Generator) -> list[Row]:
    r = 2_400_000
    G = rng.standard_normal((1, r), dtype=np.float32)
    return [
        row
        for n_threads in (1, 2)
        for row in compare(f"one row, r = {r}", applied(families(r), G, n_threads), n_threads, r)
    ]


def few_rows(rng: np.random.Generator) -> list[Row]:
    """Making the rows of Γ is most of the work where few rows of G share them."""
    r = 2_400_000
    G = rng.standard_normal((16, r), dtype=np.float32)
    S = skmm.SparseSign(r, M, nnz_per_row=ZETA)
    rows = []
    for count in (1, 2, 4, 8, 16):
        for n_threads in (1, 2):
            calls = applied({f"SparseSign, ζ = {ZETA}": S}, G[:count], n_threads)
            rows += compare(f"N = {count}, r = {r}", calls, n_threads, count * r)
    return rows


def memory(rng: np.random.Generator) -> list[Row]:
    """What calls add to the peak of a fresh process."""
    rows = []
    for kind, n, r in (
        ("SparseSign", N, R),
        ("GroupedSign", N, R),
        ("Gaussian", 1024, 100_000),
    ):
        code = (
            "import numpy, skmm_fast; from common import peak_rss\n"
            f"G = numpy.ones(({n}, {r}), 'f4')\n"
            f"S = skmm_fast.{kind}({r}, {M})\n"
            "S.apply(G[:2], n_threads=2); before = peak_rss()\n"
            "S.apply(G, n_threads=2); print(peak_rss() - before)\n"
        )
        extra = float(fresh(code)) / 1e6
        rows.append({"case": f"N = {n}, r = {r}", "who": kind, "threads": 2, "extra MB": extra})
    return rows


def fresh(code: str, **environment: str) -> str:
    """What a new interpreter prints."""
    path = os.path.dirname(os.path.abspath(__file__))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def levels() -> list[Row]:
    """The headline at each ISA level that this machine has."""
    code = (
        "import json, numpy, skmm_fast, bench_sketch as b\n"
        "G = numpy.random.default_rng(0).standard_normal((b.N, b.R), dtype='f4')\n"
        "calls = b.applied(b.families(b.R), G, {0})\n"
        "print(json.dumps(b.compare(skmm_fast._core.isa, calls, {0}, G.size)))"
    )
    rows = []
    for isa in ("avx512", "avx2", "baseline"):
        for n_threads in (1, 2):
            try:
                rows += json.loads(fresh(code.format(n_threads), SKMM_ISA=isa))
            except subprocess.CalledProcessError:
                print(f"{isa}: not to be had here, skipped")
                break
    return rows


def peers(rng: np.random.Generator) -> list[Row]:
    G = rng.standard_normal((N, R), dtype=np.float32)
    tensor = torch.from_numpy(G)
    S = skmm.SparseSign(R, M, nnz_per_row=ZETA)
    Gamma = sp.csr_array(S.toarray())
    transposed = sp.csr_array(Gamma.T)
    torch.set_num_threads(2)
    calls: dict[str, Callable[[], Any]] = {
        "read of G": reader(G, 2),
        **applied({f"SparseSign, ζ = {ZETA}": S, "GroupedSign": skmm.GroupedSign(R, M)}, G, 2),
        "SciPy, G @ Γ, stored": lambda: G @ Gamma,
        "SciPy, (Γᵀ @ Gᵀ)ᵀ, stored": lambda: (transposed @ G.T).T,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: sparse CSR is in beta
        stored = torch.sparse_csr_tensor(
            torch.from_numpy(transposed.indptr),
            torch.from_numpy(transposed.indices),
            torch.from_numpy(transposed.data),
            transposed.shape,
        )
    calls["torch sparse CSR, stored"] = lambda: (stored @ tensor.T).T
    for name, maker in PEERS.items():
        try:
            calls[name] = maker(G)
        except ImportError as error:
            print(f"{name}: skipped, {error}")
    return compare(f"peers, {HEADLINE}", calls, 2, G.size)


def scikit_learn(G: np.ndarray) -> Callable[[], Any]:
    projection = importlib.import_module("sklearn.random_projection")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the distortion at this m
        fitted = projection.SparseRandomProjection(M, density=ZETA / M, random_state=0).fit(G)
    return lambda: fitted.transform(G)


def trak(G: np.ndarray) -> Callable[[], Any]:
    module = importlib.import_module("trak.projectors")
    projector = module.BasicProjector(R, M, 0, module.ProjectionType.rademacher, "cpu")
    return lambda: projector.project(torch.from_numpy(G), 0)


def dattri(G: np.ndarray) -> Callable[[], Any]:
    project = importlib.import_module("dattri.func.projection").random_project
    projector = project(torch.from_numpy(G), N, M, 32, proj_type="rademacher", device="cpu")
    return lambda: projector(torch.from_numpy(G))


def bergson(G: np.ndarray) -> Callable[[], Any]:
    project = importlib.import_module("bergson.collector.collector").project_global
    return lambda: project("bench", torch.from_numpy(G), M, "rademacher")


PEERS: dict[str, Callable[[np.ndarray], Callable[[], Any]]] = {
    "scikit-learn SparseRandomProjection.transform": scikit_learn,
    "TRAK BasicProjector, rademacher": trak,
    "dattri random_project, rademacher": dattri,
    "bergson project_global, rademacher": bergson,
}


def gaussian(rng: np.random.Generator) -> list[Row]:
    n, r = GAUSSIAN_SHAPE
    G = rng.standard_normal((n, r), dtype=np.float32)
    S = skmm.Gaussian(r, M)
    Gamma = S.toarray()
    rows = []
    for n_threads in (1, 2):
        calls = {
            "Gaussian": lambda k=n_threads: S.apply(G, n_threads=k),
            "sgemm, Γ stored": multiplier(G, Gamma, n_threads),
        }
        rows += compare(f"N = {n}, r = {r}, m = {M}", calls, n_threads, G.size)
    return rows


def normals(rng: np.random.Generator) -> list[Row]:
    """4 MB of numbers, in and out of a cache: one core makes them, nothing multiplies them."""
    numbers = np.empty(2**20, np.float32)
    T = skmm.Gaussian(2048, M)
    times = in_turns(
        {
            "rows of a Gaussian Γ": T.toarray,
            "NumPy": lambda: rng.standard_normal(out=numbers, dtype="f4"),
        }
    )
    return [
        {"case": "2²⁰ normals", "who": who, "threads": 1, "ns per entry": t / 2**20 * 1e9}
        for who, t in times.items()
    ]


def csr(
    rng: np.random.Generator, dims: tuple[int, ...] = (10**5, 10**6, 10**7, 10**8, 10**9)
) -> list[Row]:
    n, per_row = 256, 1000
    matrices = {}
    for r in dims:
        stride = r // per_row
        columns = rng.integers(0, stride, (n, per_row)) + np.arange(per_row) * stride
        values = rng.standard_normal(columns.size, dtype=np.float32)
        indptr = np.arange(n + 1) * per_row
        matrices[r] = sp.csr_array((values, columns.ravel(), indptr), shape=(n, r))
    rows = []
    for n_threads in (1, 2):
        calls = {
            f"{kind.__name__}, r = {r:.0e}": applied({"": kind(r, M)}, A, n_threads)[""]
            for kind in (skmm.SparseSign, skmm.GroupedSign)
            for r, A in matrices.items()
        }
        rows += compare(f"CSR, {per_row} nonzeros a row", calls, n_threads, n * per_row)
    return rows


def main() -> None:
    rng = np.random.default_rng(0)
    dense = [*headline(rng), *one_row(rng), *few_rows(rng), *gaussian(rng), *normals(rng)]
    save("sketch", [*dense, *csr(rng), *memory(rng)])
    save("levels", levels())
    save("peers", peers(rng))


if __name__ == "__main__":
    main()
