"""What the command writes: selections, the samples chosen, JSON for scripts, reports."""

import json
import subprocess
import sys

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pytest.importorskip("typer")

import pyarrow.parquet as pq

import skmm_fast as skmm
from skmm_fast import cli

N = 200
X = np.random.default_rng(0).standard_normal((N, 5)).astype(np.float32)
SELECTION = skmm.select(X, 20)
TEXTS = [f"text {i} <b>" for i in range(N)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    lines = [json.dumps({"text": text, "id": i}) for i, text in enumerate(TEXTS)]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    embedded = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 5)
    pq.write_table(pa.table({"text": TEXTS, "e": embedded}), "pool.parquet", row_group_size=30)
    return tmp_path


def select(*options, X="X.npy"):
    return cli.main(["select", X, "-n", "20", *options])


def test_json_on_stdout(capsys):
    assert select("--out", "-") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["indices"] == SELECTION.indices.tolist()
    assert SELECTION.diagnosis.verdict in shown.err


def test_a_pipe(folder):
    """Nothing but JSON goes to it, and stderr has no bars."""
    command = [sys.executable, "-m", "skmm_fast", "select", "X.npy", "-n", "20", "-o", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["indices"] == SELECTION.indices.tolist()
    assert done.stderr.splitlines()[0] == SELECTION.diagnosis.verdict
    assert "%|" not in done.stderr


def test_several_files(folder):
    outs = ["chosen.npz", "sub/chosen.npy", "chosen.csv", "chosen.jsonl", "chosen.parquet"]
    options = [option for out in outs for option in ("--out", out)]
    assert select(*options, "--data", "texts.jsonl", "--json") == 0
    assert np.array_equal(skmm.Selection.load("chosen.npz").indices, SELECTION.indices)
    assert np.array_equal(np.load("sub/chosen.npy"), SELECTION.indices)
    ids = [json.loads(line)["id"] for line in (folder / "chosen.jsonl").read_text().splitlines()]
    assert ids == list(SELECTION)
    assert pq.read_table("chosen.parquet")["id"].to_pylist() == ids


def test_samples_of_the_table_that_was_selected_from(folder):
    options = ("--out", "chosen.jsonl", "--out", "chosen.parquet")
    assert select(*options, X="pool.parquet") == 0
    texts = [TEXTS[i] for i in SELECTION]
    assert pq.read_table("chosen.parquet")["text"].to_pylist() == texts
    lines = [json.loads(line) for line in (folder / "chosen.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == texts
    np.testing.assert_allclose([line["e"] for line in lines], X[SELECTION], rtol=1e-6)


def test_diagnosis_as_json(capsys):
    assert select("--out", "chosen.npz", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == SELECTION.diagnosis.verdict
    assert found["v_optimality"] == SELECTION.diagnosis.v_optimality
    assert "chosen.npz" in found["written"]


def test_errors_before_anything_is_chosen(folder, capsys):
    for options, said in (
        (["--out", "chosen.xls"], "out: expected a name that ends in .npz, .json, .npy, .csv"),
        (["--out", "chosen.jsonl"], "data: expected a table (.parquet, "),
        (["--out", "c.jsonl", "--data", "short.jsonl"], "data: expected 200 samples, got 1"),
        (["--out", "c.parquet", "--data", "short.jsonl"], "data: expected 200 samples, got 1"),
        (["--out", "folder.json"], "out: expected a file, got the folder folder.json"),
    ):
        (folder / "short.jsonl").write_text('{"a": 1}\n')
        (folder / "folder.json").mkdir(exist_ok=True)
        assert select(*options) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
        assert not (folder / options[1]).is_file()


def test_what_can_be_written_is(folder, capsys, monkeypatch):
    """The selection goes out before its samples, and these before the picture."""
    monkeypatch.setattr(skmm.Selection, "plot", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        select("--out", "-", "--out", "a.jsonl", "--out", "b.json", "--data", "texts.jsonl")
    assert json.loads(capsys.readouterr().out)["indices"] == SELECTION.indices.tolist()
    assert (folder / "a.jsonl").exists()
    assert (folder / "b.json").exists()


def test_dates_and_missing_values(folder):
    import datetime

    days = [None, *[datetime.datetime(2026, 1, 1)] * (N - 1)]
    pq.write_table(pa.table({"at": days, "x": [float("nan")] * N}), "dated.parquet")
    assert select("--out", "chosen.jsonl", "--data", "dated.parquet") == 0
    lines = [json.loads(line) for line in (folder / "chosen.jsonl").read_text().splitlines()]
    assert lines[3] == {"at": "2026-01-01T00:00:00", "x": None}


def test_info(folder, capsys):
    SELECTION.save("chosen.json")
    SELECTION.save("chosen.npz")
    for name, expected in (
        ("X.npy", {"kind": "array", "shape": [N, 5], "dtype": "float32"}),
        ("pool.parquet", {"kind": "table", "rows": N, "text": "string"}),
        ("chosen.json", {"kind": "selection", "rows": 20, "method": "auto"}),
        ("chosen.npz", {"kind": "selection", "rows": 20, "n_samples": N}),
    ):
        assert cli.main(["info", name, "--json"]) == 0
        assert expected.items() <= json.loads(capsys.readouterr().out).items()
        assert cli.main(["info", name]) == 0
        assert f"kind{' ' * 3}" in capsys.readouterr().out.replace("kind  ", "kind   ")
    assert cli.main(["info", "no.npy"]) == 1


def test_plan(capsys):
    assert cli.main(["plan", "X.npy", "-n", "10%", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] > 0
    more = ["plan", "--rows", "1000000", "--dim", "64", "-n", "1000", "--method", "v-optimal"]
    assert cli.main(more) == 0
    assert "select 1000 of 1000000 rows of 64: about " in capsys.readouterr().out
    assert cli.main(["plan", "-n", "5"]) == 2
    assert cli.main(["plan", "pool.parquet", "-n", "5"]) == 0
    assert f"select 5 of {N} rows of 5: about " in capsys.readouterr().out


def test_report(folder, capsys):
    pytest.importorskip("matplotlib")
    y = np.array(["<x>", "b"])[np.arange(N) % 2]
    skmm.select(X, 20, y=y).save("chosen.npz")
    command = [
        "report",
        "chosen.npz",
        "--out",
        "r.html",
        "--data",
        "texts.jsonl",
        "--examples",
        "3",
    ]
    assert cli.main(command) == 0
    page = (folder / "r.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert 'src="http' not in page
    assert page.count("&lt;b&gt;") == 3
    assert "<b>" not in page
    assert "Classes before and after" in page
    assert "&lt;x&gt;" in page
    (folder / "short.jsonl").write_text('{"a": 1}\n')
    assert cli.main([*command[:4], "--data", "short.jsonl"]) == 1
    assert "data: expected 200 samples, got 1" in capsys.readouterr().err


def test_a_report_without_a_picture(folder):
    SELECTION.save("chosen.json")
    assert cli.main(["report", "chosen.json", "--out", "r.html"]) == 0
    assert "data:image" not in (folder / "r.html").read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["selct"], "Did you mean 'select'?"),
        (["select", "X.npy", "-n", "5", "--out", "a.npz", "--sede", "3"], "--seed"),
        (
            ["select", "X.npy", "-n", "5%%", "--out", "a.npz"],
            "a share such as 0.02 or 2%, got '5%%'",
        ),
        (["select", "X.npy", "-n", "5", "--out", "a.npz", "--method", "best"], "one of auto, "),
    ],
)
def test_wrong_command_lines_say_what_was_meant(argv, said, capsys):
    assert cli.main(argv) == 2
    assert said in capsys.readouterr().err


def test_help_has_examples_and_defaults(capsys):
    for name in ("sketch", "select", "report", "plan", "info", "status", "verify"):
        assert cli.main([name, "--help"]) == 0
        assert f"\n  skmm-fast {name} " in capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert "\n  skmm-fast select sketches/ -n 2%" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"skmm-fast {skmm.__version__}\n"
