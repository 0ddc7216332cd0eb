"""The kernels by themselves, in cache, one thread: run by pytest-benchmark."""

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm
from skmm_fast.sketch.operators import KINDS

R, M = 8192, 512


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("n", [1, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_dense(benchmark, kind, n, dtype):
    G = np.ones((n, R), dtype)
    S = KINDS[kind](R, M)
    assert benchmark(S.apply, G, n_threads=1).shape == (n, M)


@pytest.mark.parametrize("kind", ["sparse-sign", "grouped-sign"])
def test_csr(benchmark, kind):
    A = sp.csr_array(np.ones((4, R), np.float32))
    assert benchmark(KINDS[kind](R, M).apply, A, n_threads=1).shape == (4, M)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_gamma(benchmark, kind):
    assert benchmark(KINDS[kind](R, M).toarray).shape == (R, M)


def test_fixed_cost_of_a_call(benchmark):
    S = skmm.SparseSign(16, 8)
    G = np.ones((1, 16), np.float32)
    assert benchmark(S.apply, G, n_threads=1).shape == (1, 8)
