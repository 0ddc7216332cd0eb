"""ISA levels, threads, import orders, forks, signals: what needs processes of their own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.sanitizers import limits_addresses

from skmm_fast import _core


def run(code, *arguments, timeout=1800, **environment):
    """stdout of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def cpu_seconds(pid):
    """The processor time that a process has used, on all of its threads."""
    return time.clock_gettime(~pid << 3 | 2)  # the number of its CPU clock on Linux


def levels():
    """The ISA levels to be had here, best first."""
    done = subprocess.run(
        [sys.executable, "-c", "import skmm_fast"],
        env={**os.environ, "SKMM_ISA": "none"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode != 0
    return done.stderr.split("expected one of ")[1].split(" (")[0].split(", ")


EVERYTHING = """
import sys, numpy as np, scipy.sparse as sp, torch, skmm_fast as skmm
from skmm_fast import _core
rng = np.random.default_rng(0)
shown = {}
def show(name, *arrays):
    for a in arrays:
        shown[f"{len(shown)} {name}"] = np.asarray(a)
for dtype in (np.float32, np.float64):
    G = rng.standard_normal((70, 1037)).astype(dtype)
    odd = skmm.SparseSign(1037, 67, nnz_per_row=5, seed=1)
    even = skmm.SparseSign(1037, 64, nnz_per_row=8, seed=1)
    groups = skmm.GroupedSign(1037, 128, seed=1), skmm.GroupedSign(1037, 67, seed=1)
    for S in (odd, even, *groups, skmm.Gaussian(1037, 67, seed=1)):
        kind = type(S).__name__
        show("gamma", S.toarray())
        show("csr", S.apply(sp.csr_array(G * (G > 1))))
        show(kind, S.apply(G))
        show(kind, S.apply(G.astype(np.float16)))
        show(kind, S.apply_outer(G[:, :17], G[:, 50:111]))
        show(kind, S.apply(torch.from_numpy(G[:3]).to(torch.bfloat16)))
        out = S.apply(G[:2])
        show(kind, S.apply(G[:2, :500].copy(), out=out, col_offset=7, accumulate=True))
    long = rng.standard_normal((3, 70001)).astype(dtype)
    show("SparseSign", skmm.SparseSign(70001, 67, nnz_per_row=5, seed=1).apply(long))
    show("GroupedSign", skmm.GroupedSign(70001, 67, seed=1).apply(long))
    show("GroupedSign", skmm.GroupedSign(70001, 128, seed=1).apply(long))
    Z = rng.standard_t(3, size=(4500, 13)).astype(dtype)
    fit = skmm.match_moments(Z, 90, c_s=0.7, max_iter=40)
    show("moments", fit.s, fit.history["objective"])
    show("draws", *(skmm.draw(fit.s, 90, method=m) for m in ("pivotal", "systematic", "top")))
    for sampler in ("greedy", "linear", "exp"):
        show(sampler, skmm.v_optimal(Z, 60, sampler=sampler, bound=False).indices)
    logits, record = Z[:, :4].copy(), Z.T > 0
    y, head = np.arange(4500) % 4, np.eye(4, dtype=dtype)
    for method, options in {
        **dict.fromkeys(["uniform", "herding", "k-center", "adaptive", "grand", "glister"], {}),
        **dict.fromkeys(["t-leverage", "r-leverage"], {}),
        **dict.fromkeys(["entropy", "margin", "least-confidence"], {"logits": logits}),
        "contextual-diversity": {"logits": logits},
        "el2n": {"logits": logits, "y": y},
        "deepfool": {"logits": logits, "head": head},
        "forgetting": {"record": record},
        "class-balanced": {"y": y},
    }.items():
        show(method, skmm.select(Z, 60, method=method, **options).indices)
np.savez(sys.argv[1], **shown)
"""


def test_same_bits_on_every_isa_level(tmp_path):
    """All levels from AVX2 on have the same bits. The baseline rounds the products of dense
    matrices otherwise; sign sketches and Γ have the same bits there too."""
    pytest.importorskip("torch")
    names = levels()
    assert names[-1] == "baseline"
    outputs = {}
    for name in names:
        run(EVERYTHING, str(tmp_path / f"{name}.npz"), SKMM_ISA=name)
        with np.load(tmp_path / f"{name}.npz") as file:
            outputs[name] = dict(file)
        assert run("from skmm_fast import _core; print(_core.isa)", SKMM_ISA=name) == name
    assert len(outputs["baseline"]) == 124
    for key, best in outputs[names[0]].items():
        for name in names[:-1]:
            assert outputs[name][key].tobytes() == best.tobytes(), (key, name)
        plain = outputs["baseline"][key]
        if key.split()[1] in ("gamma", "csr", "SparseSign", "GroupedSign"):
            assert plain.tobytes() == best.tobytes(), key
        else:
            rounding = 1e-5 if best.dtype == np.float32 else 1e-9
            atol = rounding * np.abs(best).max()
            np.testing.assert_allclose(plain, best, rtol=rounding, atol=atol, err_msg=key)


def test_the_best_level_is_the_default():
    assert run("from skmm_fast import _core; print(_core.isa)", SKMM_ISA="") == levels()[0]


def test_unknown_level_is_an_error_that_lists_what_there_is():
    with pytest.raises(AssertionError, match=r"SKMM_ISA: expected one of .*baseline.* got 'sse9'"):
        run("import skmm_fast", SKMM_ISA="sse9")


def test_base_install_imports_little():
    modules = run(
        "import sys, skmm_fast; print([m for m in "
        "('torch', 'matplotlib', 'sklearn', 'tqdm', 'pandas') if m in sys.modules])"
    )
    assert modules == "[]"


def test_select_works_on_the_base_install():
    code = """
import sys, numpy
for name in ('torch', 'matplotlib', 'sklearn', 'tqdm'):
    sys.modules[name] = None
import skmm_fast
X = numpy.random.default_rng(0).standard_normal((200, 300))
for method in ('v-optimal', 'moment-matching', 'uniform', 'herding', 'k-center', 'adaptive'):
    print(len(skmm_fast.select(X, 20, method=method).indices))
"""
    assert run(code) == "\n".join(["20"] * 6)


def test_n_threads_is_obeyed():
    assert _core.team_size(1) == 1
    assert _core.team_size(3) == 3


def test_n_threads_is_obeyed_beside_torch():
    pytest.importorskip("torch")
    code = (
        "import torch; from skmm_fast import _core; torch.set_num_threads({}); "
        "print(_core.team_size(2))"
    )
    assert run(code.format(1)) == "2"
    assert run(code.format(2), OMP_NUM_THREADS="1") == "2"


USE = """
S = skmm_fast.SparseSign(5000, 64)
G = numpy.random.default_rng(0).standard_normal((300, 5000)).astype('f4')
Z = S.apply(G, n_threads=2)
a = torch.randn(300, 300) @ torch.randn(300, 300)
print(numpy.array_equal(S.apply(G, n_threads=1), Z))
"""


@pytest.mark.parametrize(
    ("missing", "said"), [("libgomp.so.1", "Debian, Ubuntu: libgomp1"), ("libx.so", "libx.so")]
)
def test_a_missing_library_is_named(missing, said):
    program = f"""
import sys
class Loader:
    def find_spec(self, name, path=None, target=None):
        if name == "skmm_fast._core":
            raise ImportError("{missing}: cannot open shared object file")
sys.meta_path.insert(0, Loader())
import skmm_fast
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: {missing}: cannot open shared object file")
    assert said in last


@pytest.mark.parametrize("order", ["numpy, skmm_fast, torch", "torch, numpy, skmm_fast"])
def test_import_orders(order):
    pytest.importorskip("torch")
    assert run(f"import {order}{USE}") == "True"


def test_one_openmp_runtime_beside_torch():
    pytest.importorskip("torch")
    for order in ("skmm_fast, torch", "torch, skmm_fast"):
        code = f"import {order}; print(open('/proc/self/maps').read())"
        loaded = {line.split()[-1] for line in run(code).splitlines() if "libgomp" in line}
        assert len(loaded) == 1, loaded


FORKED = """
import os, numpy, skmm_fast
from skmm_fast import _core
Z = numpy.random.default_rng(0).standard_normal((9000, 16))
expected = skmm_fast.v_optimal(Z, 40, n_threads=2, bound=False).indices
child = os.fork()
if child == 0:
    same = numpy.array_equal(skmm_fast.v_optimal(Z, 40, n_threads=2, bound=False).indices, expected)
    os._exit(0 if same and _core.team_size(2) == 1 and _core.default_threads() == 1 else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), _core.team_size(2))
"""


def test_a_forked_child_runs_serially_after_a_threaded_parent_call():
    assert run(FORKED) == "0 2"


def test_a_worker_that_imports_after_torch_used_threads_in_its_parent():
    pytest.importorskip("torch")
    code = """
import multiprocessing, torch
torch.set_num_threads(2)
torch.randn(4_000_000).exp().sum()
def work():
    import numpy, skmm_fast
    from skmm_fast import _core
    skmm_fast.SparseSign(5000, 64).apply(numpy.ones((300, 5000)), n_threads=2)
    assert _core.team_size(2) == 1
worker = multiprocessing.get_context("fork").Process(target=work)
multiprocessing.set_start_method("fork", force=True)
worker.start()
worker.join(1800)
print(worker.exitcode)
"""
    assert run(code) == "0"


def test_data_loader_workers():
    pytest.importorskip("torch")
    code = """
import numpy, torch, skmm_fast
S = skmm_fast.SparseSign(2000, 32)
G = numpy.random.default_rng(0).standard_normal((64, 2000)).astype('f4')
Z = S.apply(G, n_threads=2)
class Data(torch.utils.data.Dataset):
    def __len__(self): return 64
    def __getitem__(self, i): return S.apply(G[i:i + 1], n_threads=2)[0]
loader = torch.utils.data.DataLoader(Data(), batch_size=16, num_workers=2)
print(numpy.array_equal(torch.cat(list(loader)).numpy(), Z))
"""
    assert run(code) == "True"


UNDER_A_LIMIT = """
import resource, numpy, skmm_fast
from skmm_fast import _core
Z = numpy.random.default_rng(0).standard_normal((20_000, 16)).astype('f4')
expected = skmm_fast.select(Z, 50, n_threads=1).indices
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + {more} * 2**20,) * 2)
try:
    print(numpy.array_equal(skmm_fast.select(Z, 50, n_threads=64).indices, expected))
except MemoryError:
    print('MemoryError')
print(1 <= _core.team_size(1024) < 1024)
"""


@limits_addresses
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("more", [1, 10, 30, 100, 300])
def test_a_team_is_as_large_as_a_memory_limit_allows(more):
    done, bounded = run(UNDER_A_LIMIT.format(more=more)).split()
    assert done in ("True", "MemoryError") if more < 300 else done == "True"
    assert bounded == "True"


IN_A_DAEMON = """
import threading, time, numpy, skmm_fast
Z = numpy.random.default_rng(0).standard_normal((200_000, 64)).astype('f4')
started = threading.Event()
def progress(*_):
    started.set()
    for _ in range(10_000): pass
def work():
    while True:
        {call}
        started.set()
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
started.wait({wait})
print('end')
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "call",
    [
        "skmm_fast.v_optimal(Z, 100_000, route='greedy', bound=False, n_threads={})",
        "skmm_fast._core.dots(Z[:100], numpy.ones(64), {})",
        "skmm_fast._core.dots(Z, numpy.ones(64), {}, progress)",
    ],
    ids=["long calls", "short calls", "calls that report"],
)
def test_the_interpreter_ends_while_a_daemon_thread_is_in_a_call(call, threads):
    code = IN_A_DAEMON.format(call=call.format(threads), wait=1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads a CPU clock of Linux")
@pytest.mark.parametrize(
    "call",
    [
        "skmm_fast.SparseSign(40_000_000, 4096).apply(wide)",
        "skmm_fast.GroupedSign(40_000_000, 4096).apply(wide)",
        "skmm_fast.SparseSign(10**9, 64).apply_outer(wide[:512, :1000], wide[:512, :10**6])",
        "skmm_fast.SparseSign(10**6, 512, nnz_per_row=512).apply(wide[:256, :10**6])",
        "skmm_fast.Gaussian(300_000, 4096).apply(numpy.ones((600, 300_000), 'f4'))",
        "skmm_fast.match_moments(numpy.tile(Z, (20, 1)), 20_000, c_s=0.01, "
        "weighting='relative', tol=1e-30)",
        "skmm_fast.v_optimal(Z, 100_000, route='greedy', bound=False)",
        "skmm_fast.v_optimal(Z, 100_000, block=500, route='greedy', bound=False)",
        "skmm_fast.v_optimal(Z, 9000, include=range(8000), route='greedy', bound=False)",
        "skmm_fast.v_optimal(numpy.tile(Z, (20, 1)), 20_000, tol=1e-15, route='relaxation')",
        "skmm_fast.select(Z, 100_000, method='k-center')",
        "skmm_fast.select(Z, 100_000, method='adaptive')",
        "skmm_fast.Gaussian(10**6, 4096).apply(csr(5000, 20_000))",
        "skmm_fast.SparseSign(10**6, 4096, nnz_per_row=512).apply(csr(20_000, 200_000))",
    ],
    ids=[
        "sign",
        "groups",
        "outer",
        "many entries",
        "gaussian",
        "moments",
        "greedy",
        "block",
        "include",
        "relaxation",
        "k-center",
        "adaptive",
        "gaussian CSR",
        "sign CSR",
    ],
)
def test_ctrl_c_stops_a_long_call(call):
    code = f"""
import numpy, signal, skmm_fast
signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent may have it ignored
Z = numpy.random.default_rng(0).standard_t(3, size=(200_000, 64)).astype('f4')
wide = numpy.broadcast_to(numpy.ones(40_000_000, 'f4'), (2000, 40_000_000))
def csr(rows, per_row):
    import scipy.sparse
    nnz = rows * per_row
    rows_of = numpy.arange(0, min(nnz, 40_000_000) + 1, per_row)
    indices = numpy.tile(numpy.arange(per_row, dtype='i4'), len(rows_of) - 1)
    data = numpy.ones(len(indices), 'f4')
    return scipy.sparse.csr_array((data, indices, rows_of), shape=(len(rows_of) - 1, 10**6))
print('ready', flush=True)
try:
    {call}
except KeyboardInterrupt:
    print('stopped', flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.5)
        assert process.poll() is None, "the call was too short to be interrupted"
        before = cpu_seconds(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "stopped\n"
        assert cpu_seconds(process.pid) - before < 5  # the rest of the call would take far longer
        process.kill()
