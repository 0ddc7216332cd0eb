"""The commands: sketch a dataset, choose rows of the sketches, say what is wrong in one line."""

import importlib
import json
import re
import sys

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
    assert cli.main([*SKETCH, *small]) == 0
    shown = capsys.readouterr()
    assert "SketchStore('sketches': 90 x 16 float32, 3 of 3 shards)" in shown.out
    assert "samples/s" in shown.err
    net, data = importlib.import_module("my_project").build()
    sketcher = GradientSketcher(net, params=["0.*", "2.weight"], sketch_dim=16, seed=3)
    store = skmm.SketchStore("sketches")
    np.testing.assert_allclose(store.array(), sketcher(data.tensors), rtol=1e-4, atol=1e-6)

    assert cli.main(["select", "sketches", "-n", "20", "--out", "new/chosen.json"]) == 0
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
    ],
)
def test_wrong_command_lines(argv, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(argv)
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_ctrl_c(monkeypatch, capsys):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("skmm_fast.gradients.sketch_dataset", stopped)
    assert cli.main(SKETCH) == 130
    assert capsys.readouterr().err == "skmm-fast: stopped\n"
