"""The commands: sketch a dataset, choose rows of the sketches, say what is wrong in one line."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tqdm")

import skmm_fast as skmm
from skmm_fast import cli
from skmm_fast.gradients import GradientSketcher

PROJECT = """
import torch

def build():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return net.eval(), torch.utils.data.TensorDataset(torch.randn(90, 6), torch.arange(90) % 3)

def loader():
    net, data = build()
    return net, torch.utils.data.DataLoader(data, batch_size=16)

def broken():
    return {}["model"]

def one():
    return build()[0]
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A folder with my_project.py, as the current one."""
    (tmp_path / "my_project.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_project", raising=False)
    return tmp_path


SKETCH = ["sketch", "my_project:build", "--out", "sketches", "--sketch-dim", "16"]


def said(capsys, *argv):
    """The one line on stderr of a command that fails."""
    assert cli.main([str(a) for a in argv]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_end_to_end(project, capsys):
    small = ["--params", "0.*,2.weight", "--batch-size", "16", "--shard-rows", "40", "--seed", "3"]
    assert cli.main([*SKETCH, *small, "--progress"]) == 0
    shown = capsys.readouterr()
    where = str(project / "sketches")
    assert f"SketchStore({where!r}: 90 x 16 float32, 3 of 3 shards)" in shown.out
    assert "samples/s" in shown.err
    net, data = importlib.import_module("my_project").build()
    sketcher = GradientSketcher(net, params=["0.*", "2.weight"], sketch_dim=16, seed=3)
    store = skmm.SketchStore("sketches")
    np.testing.assert_allclose(store.array(), sketcher(data.tensors), rtol=1e-4, atol=1e-6)

    command = ["select", "sketches", "-n", "20", "--out", "new/chosen.json", "--progress"]
    assert cli.main(command) == 0
    shown = capsys.readouterr()
    assert "V-optimality" in shown.out
    assert "written: new/chosen.json" in shown.out
    assert "select 20 of 90 rows, m = 16, auto" in shown.err
    selection = skmm.Selection.load("new/chosen.json")
    assert np.array_equal(selection.indices, skmm.select(store, 20).indices)
    assert json.loads((project / "new" / "chosen.json").read_text())["settings"]["n"] == 20
    pytest.importorskip("matplotlib")
    assert (project / "new" / "chosen.png").read_bytes().startswith(b"\x89PNG")


def test_select_options(project, capsys):
    assert cli.main(SKETCH) == 0
    options = ["--method", "moment-matching", "--seed", "5", "--sketch-dim", "8"]
    assert cli.main(["select", "sketches", "-n", "0.2", "--out", "s.npz", *options]) == 0
    chosen = skmm.Selection.load("s.npz")
    expected = skmm.select(
        skmm.SketchStore("sketches"), 0.2, method="moment-matching", seed=5, sketch_dim=8
    )
    assert np.array_equal(chosen.indices, expected.indices)
    assert chosen.settings["sketch_dim"] == 8
    pytest.importorskip("matplotlib")
    assert cli.main(["select", "sketches", "-n", "9", "--out", "t", "--plot", "a.png"]) == 0
    assert "written: t.npz\nwritten: a.png\n" in capsys.readouterr().out
    assert not (project / "t.png").exists()


@pytest.fixture
def arrays(project):
    """Features, their labels and rows of two tasks, in .npy files."""
    rng = np.random.default_rng(0)
    made = {
        "X": rng.standard_normal((120, 7)).astype(np.float32),
        "y": np.repeat(np.array(["a", "b", "c"]), [80, 30, 10]),
        "one": rng.standard_normal((5, 7)).astype(np.float32) + 1,
        "two": rng.standard_normal((6, 7)).astype(np.float32) - 1,
    }
    for name, array in made.items():
        np.save(f"{name}.npy", array)
    return made


def chosen(*options):
    """What the command writes that chooses 30 rows of X.npy."""
    assert cli.main(["select", "X.npy", "-n", "30", "--out", "s.npz", *options]) == 0
    return skmm.Selection.load("s.npz")


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ([], {}),
        (["--per-class", "sqrt"], {"per_class": "sqrt"}),
        (["--per-class", "balanced"], {"per_class": "balanced"}),
        (["--per-class", "0.25"], {"per_class": 0.25}),
        (["--per-class", "1"], {"per_class": 1}),
        (["--pilot", "linear"], {"pilot": "linear"}),
        (["--diagnose", "fast"], {"diagnose": "fast"}),
        (["--diagnose", "none"], {"diagnose": "none"}),
        (["--method", "class-balanced"], {"method": "class-balanced"}),
    ],
)
def test_select_with_labels(arrays, given, options):
    found = chosen("--y", "y.npy", *given)
    expected = skmm.select(arrays["X"], 30, y=arrays["y"], **options)
    assert np.array_equal(found.indices, expected.indices)
    assert found.settings == expected.settings
    assert found.settings["method"] == options.get("method", "auto")
    assert str(found.diagnosis) == str(expected.diagnosis)


def test_select_for_targets(arrays):
    X, one, two = (arrays[name] for name in ("X", "one", "two"))
    found = chosen("--target", "one.npy")
    assert np.array_equal(found.indices, skmm.select(X, 30, target=one).indices)
    found = chosen("--target", "one.npy", "--target", "two.npy", "--method", "rds")
    expected = skmm.select(X, 30, target=[one, two], method="rds")
    assert np.array_equal(found.indices, expected.indices)
    assert found.settings["n_target"] == [5, 6]


def test_select_for_targets_with_labels(arrays, capsys):
    X, y, one, two = (arrays[name] for name in ("X", "y", "one", "two"))
    y_one, y_two = np.array([*"aabbc"]), np.array([*"abcabc"])
    np.save("y1.npy", y_one)
    np.save("y2.npy", y_two)
    command = ["--y", "y.npy", "--pilot", "linear", "--target", "one.npy", "--target-y", "y1.npy"]
    found = chosen(*command)
    expected = skmm.select(X, 30, y=y, pilot="linear", target=(one, y_one))
    assert np.array_equal(found.indices, expected.indices)
    assert found.settings == expected.settings
    found = chosen(*command, "--target", "two.npy", "--target-y", "y2.npy")
    pairs = [(one, y_one), (two, y_two)]
    expected = skmm.select(X, 30, y=y, pilot="linear", target=pairs)
    assert np.array_equal(found.indices, expected.indices)
    select = ["select", "X.npy", "-n", "30", "--out", "s.npz", *command]
    assert cli.main([*select, "--target", "two.npy"]) == 1
    assert "target-y: expected 2 files as of target, got 1" in capsys.readouterr().err


def test_a_store_as_a_target(capsys):
    assert cli.main(SKETCH) == 0
    command = ["select", "sketches", "-n", "9", "--out", "s", "--target", "sketches"]
    assert cli.main(command) == 0
    store = skmm.SketchStore("sketches")
    expected = skmm.select(store, 9, target=store)
    assert np.array_equal(skmm.Selection.load("s.npz").indices, expected.indices)


def test_errors_of_files_of_select(arrays, capsys):
    def selecting(*options, X="X.npy"):
        return said(capsys, "select", X, "-n", 5, "--out", "s", *options)

    assert cli.main(SKETCH) == 0
    capsys.readouterr()
    Path("broken.npy").write_text("no array")
    Path("empty.npy").touch()
    assert "X: expected a .npy of numbers or strings, got broken.npy" in selecting(X="broken.npy")
    assert "y: expected a .npy of numbers or strings, got empty.npy" in selecting(
        "--y", "empty.npy"
    )
    assert "No such file or directory: 'no.npy'" in selecting("--target", "no.npy")
    assert "No such file or directory: 'no/manifest.json'" in selecting("--target", "no")
    assert "target[0]: expected rows of 16 entries, got shape (120, 7)" in said(
        capsys, "select", "sketches", "-n", 5, "--out", "s", "--target", "X.npy"
    )
    assert "y: expected labels for per_class, got None" in selecting("--per-class", "sqrt")
    for power in ("1.5", "-1", "nan", "most"):
        assert "per_class: expected " in selecting("--y", "y.npy", f"--per-class={power}")
    assert "y: expected labels or numbers for pilot 'linear'" in selecting("--pilot", "linear")
    assert "target: expected (T, r) rows with method 'less'" in selecting("--method", "less")


def test_a_data_loader_and_a_second_run(project, capsys):
    loader = ["sketch", "my_project:loader", "--out", "sketches", "--sketch-dim", "16"]
    assert cli.main(loader) == 0
    before = (project / "sketches" / "shard-00000.npy").stat()
    assert cli.main(loader) == 0
    after = (project / "sketches" / "shard-00000.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    capsys.readouterr()
    message = said(capsys, *loader, "--seed", "1")
    assert "path: expected a store of this sketcher" in message
    assert "seed (stored 0, now 1)" in message


def test_errors_are_one_line(project, capsys):
    def sketching(target, *options):
        return said(capsys, "sketch", target, "--out", "s", *options)

    for target, message in {
        "my_project": "build: expected module:function, got 'my_project'",
        "no_project:build": "no_project:build: ModuleNotFoundError: No module named 'no_project'",
        "my_project:nothing": "my_project:nothing: AttributeError: .* 'nothing'",
        "my_project:broken": r"my_project:broken: KeyError: 'model' \(.*my_project.py, line 14\)",
        "my_project:one": r"my_project:one: expected it to return \(model, dataset\), got Seq",
    }.items():
        found = sketching(target)
        assert re.search(f"^skmm-fast: {message}", found), found
    assert "sketch_dim: expected at most" in sketching("my_project:build", "--sketch-dim", "999")
    assert "loss: expected one of" in sketching("my_project:build", "--loss", "hinge")
    assert not (project / "s").exists()

    chosen = ("--out", "s.json", "-n")
    assert "No such file or directory: 'no/manifest.json'" in said(
        capsys, "select", "no", *chosen, 5
    )
    assert cli.main([*SKETCH, "--shard-rows", "40"]) == 0
    capsys.readouterr()
    assert "n: expected an int in [1, 90], got 91" in said(
        capsys, "select", "sketches", *chosen, 91
    )
    (project / "sketches" / "shard-00002.npy").unlink()
    assert "10 of 90 rows are missing" in said(capsys, "select", "sketches", *chosen, 5)


def test_stores_of_16_bits(project, capsys):
    assert cli.main([*SKETCH, "--dtype", "float16", "--shard-rows", "40"]) == 0
    assert "90 x 16 float16, 3 of 3 shards" in capsys.readouterr().out
    assert cli.main(["verify", "sketches"]) == 0
    assert cli.main(["select", "sketches", "-n", "20", "--out", "chosen.json"]) == 0
    found = skmm.Selection.load("chosen.json").indices
    assert np.array_equal(found, skmm.select(skmm.SketchStore("sketches"), 20).indices)
    capsys.readouterr()
    assert "dtype: expected one of 'float16'" in said(capsys, *SKETCH, "--dtype", "float8")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["sketch"],
        ["sketch", "my_project:build"],
        [*SKETCH, "--seed", "x"],
        ["select", "s"],
        ["select", "s", "-n", "many", "--out", "x"],
        ["select", "s", "-n", "5", "--out", "x", "--method", "best"],
        ["select", "s", "-n", "5", "--out", "x", "--method", "entropy"],
        ["select", "s", "-n", "5", "--out", "x", "--pilot", "ridge"],
        ["select", "s", "-n", "5", "--out", "x", "--diagnose", "some"],
    ],
)
def test_wrong_command_lines(argv, capsys):
    assert cli.main(argv) == 2
    shown = capsys.readouterr()
    assert "Usage: skmm-fast" in shown.err + shown.out
    assert "Error: " in shown.err or not argv


def test_ctrl_c(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skmm_fast.gradients.sketch_dataset", stopped)
    assert cli.main(SKETCH) == 130
    assert capsys.readouterr().err == "skmm-fast: stopped\n"


def test_a_run_that_is_stopped_leaves_its_options(project, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("skmm_fast.gradients.sketch_dataset", stopped)
        assert cli.main(SKETCH) == 130
    assert cli.main(["sketch", "--config", "sketches.config.json"]) == 0
    assert skmm.SketchStore("sketches").complete


def test_another_seed_is_no_difference_to_accept(project, capsys):
    assert cli.main(SKETCH) == 0
    message = said(capsys, *SKETCH, "--seed", "5")
    assert "accept" not in message
    assert "differs in seed (stored 0, now 5)" in message


def test_what_fingerprints_cannot_see(project, capsys):
    assert cli.main([*SKETCH, "--fingerprint-extra", "v1"]) == 0
    (project / "sketches" / "shard-00000.npy").unlink()
    capsys.readouterr()
    message = said(capsys, *SKETCH, "--fingerprint-extra", "v2")
    assert "accept=['extra'], or --accept extra)" in message
    assert """differs in extra (stored "'v1'", now "'v2'")""" in message
    accepted = ["--fingerprint-extra", "v2", "--accept", "extra"]
    assert cli.main([*SKETCH, *accepted]) == 0


def test_a_function_that_changes_the_directory(project):
    (project / "elsewhere").mkdir()
    moves = "def moves():\n    import os\n    os.chdir('elsewhere')\n    return build()\n"
    (project / "my_project.py").write_text(f"{PROJECT}\n{moves}")
    assert cli.main(["sketch", "my_project:moves", "--out", "s", "--sketch-dim", "16"]) == 0
    assert skmm.SketchStore(project / "s").complete
    assert not list((project / "elsewhere").iterdir())
