"""The installed core: a C++ project finds it, and chooses the rows that Python chooses."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import scipy.sparse as sp

import skmm_fast as skmm
from skmm_fast import _core

ROOT = Path(__file__).parents[3]
CMAKE = shutil.which("cmake", path=Path(sys.executable).parent) or shutil.which("cmake")
N_CHOSEN, DIM, SEED = 40, 16, 7

needs_compiler = pytest.mark.skipif(
    CMAKE is None or shutil.which("c++") is None, reason="needs CMake and a C++ compiler"
)


def run(*command, text=None):
    done = subprocess.run(
        [*map(str, command)], input=text, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_example(folder, config):
    """Builds examples/cpp in a folder, with the core whose skmmConfig.cmake lies in another."""
    flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror"
    run(CMAKE, "-S", ROOT / "examples/cpp", "-B", folder, f"-Dskmm_DIR={config}", flags)
    run(CMAKE, "--build", folder)


def as_text(A):
    """The rows of a CSR matrix as examples/cpp reads them."""
    lines = []
    for i in range(A.shape[0]):
        entries = range(A.indptr[i], A.indptr[i + 1])
        lines.append(" ".join(["0", *(f"{A.indices[e]}:{A.data[e]:.17g}" for e in entries)]))
    return "\n".join(lines)


def check_example(program):
    A = sp.random(300, 500, density=0.05, format="lil", random_state=0)
    A[:, 499] = 1.0  # so that the last column has an entry
    A = sp.csr_array(A)
    Z = skmm.SparseSign(500, DIM, seed=SEED).apply(A)
    chosen = skmm.v_optimal(Z, N_CHOSEN, route="greedy", bound=False).indices
    said = run(program, N_CHOSEN, DIM, SEED, text=as_text(A))
    assert [int(row) for row in said.split()] == chosen.tolist()


def check_the_programs_of_pages(folder, prefix):
    """Those of docs/tutorials/cpp.md and README, built without CMake, print what the pages say."""
    include, library = ["-I", prefix / "include"], ["-L", prefix / "lib", "-l:libskmm.a"]
    for name in ("docs/tutorials/cpp.md", "README.md"):
        page = (ROOT / name).read_text()
        (folder / "main.cpp").write_text(re.search(r"```cpp\n(.*?)```", page, re.DOTALL)[1])
        source = [folder / "main.cpp", "-o", folder / "page"]
        run("c++", "-std=c++17", "-fopenmp", *include, *source, *library)
        assert f"‖aΓ‖² = {run(folder / 'page').strip()}," in page


@needs_compiler
def test_the_core_installed_by_cmake(tmp_path):
    options = ["-DSKMM_PYTHON=OFF", "-DSKMM_SHARED=ON", "-DCMAKE_INSTALL_LIBDIR=lib"]
    options += ["-DSKMM_LEVELS=baseline", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_FLAGS_DEBUG=-O0"]
    run(CMAKE, "-S", ROOT, "-B", tmp_path / "core", *options)
    run(CMAKE, "--build", tmp_path / "core", "-j2")
    run(CMAKE, "--install", tmp_path / "core", "--prefix", tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "moved")  # what is installed may be moved
    build_example(tmp_path / "example", tmp_path / "moved/lib/cmake/skmm")
    check_example(tmp_path / "example/choose_rows")
    check_example(tmp_path / "example/choose_rows_shared")
    check_the_programs_of_pages(tmp_path, tmp_path / "moved")


@needs_compiler
@pytest.mark.skipif(
    Path(_core.__file__).is_relative_to(ROOT / "python"), reason="runs from the sources"
)
def test_the_core_in_the_package(tmp_path):
    assert Path(skmm.get_include(), "skmm/sketch/operators.hpp").exists()
    build_example(tmp_path, skmm.get_cmake_dir())
    check_example(tmp_path / "choose_rows")


def test_a_package_without_them(tmp_path, monkeypatch):
    monkeypatch.setattr(_core, "__file__", str(tmp_path / "_core.so"))
    for function in (skmm.get_include, skmm.get_cmake_dir):
        with pytest.raises(FileNotFoundError, match="install skmm-fast by pip"):
            function()
