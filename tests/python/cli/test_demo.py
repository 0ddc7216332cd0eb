"""The command line and a small run of the demo."""

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmm_fast import cli
from skmm_fast.cli import demo


def test_demo(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "out"), "--seeds", "1"]) == 0
    shown = capsys.readouterr()
    for word in ("v-optimal", "uniform", "whole pool", "certified bound", "seconds", "macro-F1"):
        assert word in shown.out
    assert "100%" in shown.err
    assert (tmp_path / "out" / "demo.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads((tmp_path / "out" / "demo.json").read_text())
    for selection in result["selections"]:
        assert len(set(selection["indices"])) == selection["n"]
        assert max(selection["indices"]) < 1797
    accuracy = {(s["method"], s["n"]): np.mean(s["accuracy"]) for s in result["scores"]}
    assert accuracy["whole pool", 997] > 0.8


def test_weights_count_as_repetition():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 64)).astype(np.float32)
    y, weights = rng.integers(0, 10, 12), np.tile([1, 3], 6)
    torch.manual_seed(0)
    base = demo.network()
    rows = np.repeat(np.arange(12), weights)
    weighted = demo.train(copy.deepcopy(base), X, y, 20, 5.0 * weights)
    repeated = demo.train(copy.deepcopy(base), X[rows], y[rows], 20)
    for mine, expected in zip(weighted.parameters(), repeated.parameters(), strict=True):
        torch.testing.assert_close(mine, expected, atol=1e-3, rtol=1e-3)


def test_help_and_version(capsys):
    for arguments in (["--help"], ["--version"], ["demo", "--help"]):
        assert cli.main(arguments) == 0
    assert "skmm-fast 0.1.0" in capsys.readouterr().out


def test_missing_extra_is_named(monkeypatch):
    import sys

    from skmm_fast._support.optional import need

    monkeypatch.setitem(sys.modules, "tqdm", None)
    said = r"tqdm is needed here: pip install 'tqdm>=\S+'.* \(the extra 'cli' of skmm-fast\)"
    with pytest.raises(ImportError, match=said):
        need("tqdm", "cli")
