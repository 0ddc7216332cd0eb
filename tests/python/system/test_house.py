"""The house is in order: layers, the core without Python, types, warnings, the C++ tests."""

import ast
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from support.public import NAMES

import skmm_fast
from skmm_fast.methods.registry import markdown_table

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "python" / "skmm_fast"
DESIGN = (ROOT / "DESIGN.md").read_text()

RANKS = [  # a package imports from those of lower ranks only
    {"_support"},
    {"device"},
    {"sketch"},
    {"pool", "gradients"},
    {"methods"},
    {""},  # the one call and its records, at the top level
    {"cli", "integrations"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}
BELOW = {"_core", "_version"}  # everything stands on these
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
OF_TORCH = {
    name
    for name in MODULES
    if name.startswith(("gradients", "device."))
    or name in ("cli.demo", "integrations.torch", "integrations.transformers")
}


def package_of(module):
    return module.partition(".")[0] if "." in module or module in RANK else ""


def imported(name, path):
    """Modules of ours that a module imports."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            inside = package[: len(package) + 1 - node.level]
            names = [node.module] if node.module else [a.name for a in node.names]
            yield from (".".join([*inside, n]) for n in names)


IMPORTS = {
    name: set(imported(name, path)) - BELOW
    for name, path in MODULES.items()
    if name not in ("__init__", "__main__")
}


def test_packages_import_downward():
    for name, others in IMPORTS.items():
        for other in others:
            here, there = package_of(name), package_of(other)
            assert here == there or RANK[there] < RANK[here], f"{name} imports {other}"


def test_modules_of_a_package_do_not_import_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError


def test_no_module_has_the_name_of_a_public_function():
    public = {name for name, item in NAMES.items() if callable(item)}
    modules = {part for name in MODULES for part in name.split(".")}
    assert not modules & public


def run_on_import(tree):
    """The nodes of a module but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from run_on_import(node)


def test_only_optional_packages_are_imported_late():
    allowed = {"numpy", "scipy", *sys.stdlib_module_names}
    for name in MODULES.keys() - OF_TORCH:
        for node in run_on_import(ast.parse(MODULES[name].read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            assert {m.partition(".")[0] for m in modules} <= allowed, name


def test_the_core_knows_no_python():
    for path in [*(ROOT / "cpp/include").rglob("*.hpp"), *(ROOT / "cpp/src").rglob("*.[ch]pp")]:
        text = path.read_text()
        assert "Python.h" not in text
        assert "pybind11" not in text


def test_one_file_owns_openmp_one_the_isa():
    sources = list((ROOT / "cpp").rglob("*.[ch]pp"))
    assert [p.name for p in sources if "omp.h" in p.read_text()] == ["parallel.cpp"]
    assert [p.name for p in sources if "cpu_supports" in p.read_text()] == ["dispatch.cpp"]
    assert [p.name for p in sources if "immintrin.h" in p.read_text()] == ["vectors.hpp"]
    assert [p.name for p in sources if "_mm_setcsr" in p.read_text()] == ["standard_floats.hpp"]
    assert [p.name for p in sources if "0xD2511F53" in p.read_text()] == ["philox.hpp"]


def test_version_is_the_same_everywhere():
    from importlib.metadata import version

    assert version("skmm-fast") == skmm_fast.__version__
    assert f"## {skmm_fast.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_methods_in_the_readme():
    assert markdown_table() in (ROOT / "docs/how_to/methods.md").read_text(), (
        f"expected\n{markdown_table()}"
    )


def test_every_source_of_the_core_has_its_tests():
    for source in (ROOT / "cpp/src").rglob("*.cpp"):
        room = source.parent.name
        assert (ROOT / "tests/cpp" / room / f"test_{source.stem}.cpp").exists(), source


def test_no_unnamed_namespace_in_a_header():
    for header in (ROOT / "cpp").rglob("*.hpp"):
        assert "namespace {" not in header.read_text(), header


def test_documents_lead_to_files_that_exist():
    for place in re.findall(r"`((?:python/skmm_fast|cpp|tests|bench|docs)/[\w./]*)`", DESIGN):
        assert (ROOT / place).exists(), place


@pytest.fixture(scope="module", params=["with OpenMP", "baseline without OpenMP"])
def core(request, tmp_path_factory):
    """The core and its tests, built apart from Python with warnings as errors."""
    build = tmp_path_factory.mktemp("core")
    cmake = shutil.which("cmake", path=Path(sys.executable).parent) or "cmake"
    options = ["-DSKMM_PYTHON=OFF", "-DSKMM_TESTS=ON", "-DSKMM_WERROR=ON"]
    if request.param == "baseline without OpenMP":
        options += ["-DSKMM_OPENMP=OFF", "-DSKMM_LEVELS=baseline"]
    for command in ([cmake, "-S", ROOT, "-B", build, *options], [cmake, "--build", build, "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
    return build


def test_core_tests_pass(core):
    done = subprocess.run([core / "core_tests"], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout
    assert " 0 failed checks" in done.stdout


def test_leaf_objects_share_nothing(core):
    """No weak symbol in an ISA level: it could replace the one that other levels run."""
    objects = list(core.rglob("kernels.cpp.o"))
    assert objects
    for path in objects:
        symbols = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
        defined = [line.split() for line in symbols.splitlines() if " U " not in line]
        assert not [s for s in defined if s[-2] in "WwVvuT"], path
        assert len([s for s in defined if s[-2] in "DR"]) == 1  # the table
