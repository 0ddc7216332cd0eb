"""Rows, labels and row numbers that `skmm-fast select` reads from files of several kinds."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

pa = pytest.importorskip("pyarrow")
pytest.importorskip("typer")

import pyarrow.feather
import pyarrow.parquet as pq

import skmm_fast as skmm
from skmm_fast import cli
from skmm_fast.cli import inputs, tables

N = 300
X = np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)
Y = np.array(["a", "b", "c"])[np.arange(N) % 3]
EMBEDDED = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 6)
TABLE = pa.table({"text": [f"text {i}" for i in range(N)], "label": Y, "embedding": EMBEDDED})


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    return tmp_path


def chosen(X, *options):
    assert cli.main(["select", X, "-n", "30", "--out", "s.json", *map(str, options)]) == 0
    return skmm.Selection.load("s.json").indices


def said(capsys, X, *options):
    assert cli.main(["select", X, "-n", "30", "--out", "s.json", *map(str, options)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def written(kind):
    name = f"pool.{kind}"
    if kind == "parquet":
        pq.write_table(TABLE, name, row_group_size=70)
    elif kind == "feather":
        pyarrow.feather.write_feather(TABLE, name, compression="uncompressed", chunksize=70)
    else:
        with pa.ipc.new_file(name, TABLE.schema) as file:
            file.write_table(TABLE, max_chunksize=70)
    return name


@pytest.mark.parametrize("kind", ["parquet", "feather", "arrow"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_column_of_lists(monkeypatch, kind, in_memory):
    monkeypatch.setattr(tables, "BATCH", 64)
    if not in_memory:
        monkeypatch.setattr(inputs, "IN_MEMORY", 0)
    name = written(kind)
    assert np.array_equal(chosen(name), skmm.select(X, 30).indices)
    by_class = skmm.select(X, 30, y=Y, per_class="balanced").indices
    assert np.array_equal(chosen(name, "--y", "label", "--per-class", "balanced"), by_class)


def test_columns_that_are_not_there(capsys):
    name = written("parquet")
    known = "pool.parquet: expected a column among 'text', 'label', 'embedding', got "
    assert f"{known}'no'" in said(capsys, name, "--y", "no")
    assert f"{known}'no'" in said(capsys, name, "--column", "no")
    assert "X['text']: expected a column of lists" in said(capsys, name, "--column", "text")
    pq.write_table(TABLE.append_column("more", EMBEDDED), "two.parquet")
    message = said(capsys, "two.parquet")
    assert "expected one column of lists in two.parquet, got embedding, more; --column" in message
    assert np.array_equal(chosen("two.parquet", "--column", "more"), skmm.select(X, 30).indices)
    pq.write_table(TABLE.select(["text"]), "none.parquet")
    assert "expected one column of lists in none.parquet, got none" in said(capsys, "none.parquet")


def test_lists_of_unequal_lengths(capsys, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 2)
    for rows in ([[1.0], [1.0, 2.0]], [[1.0], [2.0], [1.0, 2.0], [1.0, 2.0]]):
        pq.write_table(pa.table({"e": rows}), "pool.parquet")
        assert "expected lists of one length, got" in said(capsys, "pool.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table", b"ARROW1\0\0"])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "feather"])
def test_no_tables(folder, capsys, kind, content):
    (folder / f"bad.{kind}").write_bytes(content)
    assert f"bad.{kind}: expected a .{kind} file" in said(capsys, f"bad.{kind}")


def test_a_number_that_is_missing_in_a_later_batch(capsys, monkeypatch):
    monkeypatch.setattr(tables, "BATCH", 64)
    rows = np.arange(N * 2).reshape(N, 2).tolist()
    rows[200][1] = None
    pq.write_table(pa.table({"e": rows}), "pool.parquet")
    assert "in 1 of 300 rows, first in row 200" in said(capsys, "pool.parquet")


def test_a_table_without_rows(capsys):
    pq.write_table(TABLE.slice(0, 0), "empty.parquet")
    assert "X: expected at least one row, got none in empty.parquet" in said(
        capsys, "empty.parquet"
    )
    assert cli.main(["info", "empty.parquet"]) == 0


def test_a_stream_of_arrow():
    with pa.ipc.new_stream("pool.arrow", TABLE.schema) as file:
        file.write_table(TABLE, max_chunksize=70)
    assert np.array_equal(chosen("pool.arrow"), skmm.select(X, 30).indices)


def test_targets_in_the_same_column():
    written("parquet")
    pq.write_table(TABLE.append_column("more", EMBEDDED).slice(0, 9), "few.parquet")
    options = ("--column", "embedding", "--target", "few.parquet")
    expected = skmm.select(X, 30, target=[X[:9]]).indices
    assert np.array_equal(chosen("pool.parquet", *options), expected)


def test_files_as_others_write_them(folder, capsys):
    """Line breaks inside quoted texts; long lines; columns that other rows do not have."""
    pd = pytest.importorskip("pandas")
    texts = [f'a "quoted"\nline {i}' for i in range(N)]
    pd.DataFrame({"text": texts * 40, "label": list(Y) * 40}).to_csv("meta.csv", index=False)
    assert tables.n_rows(Path("meta.csv")) == 40 * N
    lines = [
        json.dumps({"label": y, "text": "x" * (2_000_000 if i == 7 else 3)})
        for i, y in enumerate(Y)
    ]
    (folder / "meta.jsonl").write_text("\n".join(lines))
    expected = skmm.select(X, 30, y=Y).indices
    assert np.array_equal(chosen("X.npy", "--y", "meta.jsonl:label"), expected)
    (folder / "bad.jsonl").write_text('{"label": 1}\n[2]\n')
    assert "expected an object in sample 1, got list" in said(
        capsys, "X.npy", "--y", "bad.jsonl:label"
    )
    (folder / "bad.jsonl").write_text('{"label": 1}\n{"label": [2]}\n')
    assert "expected one type in 'label'" in said(capsys, "X.npy", "--y", "bad.jsonl:label")
    pq.write_table(TABLE, "pool.parquet")
    message = said(capsys, "X.npy", "--y", "pool.parquet:embedding")
    assert "y: expected labels in 'embedding', got fixed_size_list" in message


def test_sparse_matrices(capsys):
    A = sp.csr_array(X * (np.random.default_rng(1).random(X.shape) < 0.5))
    sp.save_npz("A.npz", A)
    assert np.array_equal(chosen("A.npz"), skmm.select(A, 30).indices)
    np.savez("B.npz", a=X)
    assert "X: expected a .npz that scipy.sparse.save_npz wrote, got B.npz" in said(capsys, "B.npz")


def test_other_files(capsys, folder):
    (folder / "rows.txt").write_text("1 2 3")
    message = said(capsys, "rows.txt")
    assert "X: expected a sketch store (a folder), .npy, .npz (CSR)" in message
    assert message.endswith("got rows.txt")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_labels_in_a_column(folder, capsys, kind):
    name = f"meta.{kind}"
    if kind == "csv":
        (folder / name).write_text("label,id\n" + "".join(f"{y},{i}\n" for i, y in enumerate(Y)))
    elif kind == "jsonl":
        (folder / name).write_text("".join(json.dumps({"label": y}) + "\n" for y in Y))
    else:
        pq.write_table(TABLE, name)
    assert np.array_equal(chosen("X.npy", "--y", f"{name}:label"), skmm.select(X, 30, y=Y).indices)
    assert "expected a column among" in said(capsys, "X.npy", "--y", f"{name}:no")
    assert "y: expected a .npy, or FILE:COLUMN of a table, got label" in said(
        capsys, "X.npy", "--y", "label"
    )
    pq.write_table(pa.table({"label": ["a", None] * (N // 2)}), "holes.parquet")
    assert "y: expected a label in each row, got 150 rows without" in said(
        capsys, "X.npy", "--y", "holes.parquet:label"
    ).replace("got 150 without", "got 150 rows without")


def test_row_numbers(folder, capsys):
    first = chosen("X.npy")
    Path("s.json").rename("first.json")
    np.save("rows.npy", first)
    (folder / "rows.txt").write_text("\n".join(map(str, first)))
    expected = skmm.select(X, 30, exclude=first).indices
    for given in ("first.json", "rows.npy", "rows.txt", ",".join(map(str, first))):
        assert np.array_equal(chosen("X.npy", "--exclude", given), expected)
    kept = chosen("X.npy", "--include", "7,299")
    assert {7, 299} <= set(kept.tolist())
    assert "include: expected row numbers such as 3,14,15" in said(
        capsys, "X.npy", "--include", "7,x"
    )
    assert "exclude: expected rows in [0, 299], got 300" in said(capsys, "X.npy", "--exclude", 300)


def test_options_go_to_select():
    options = ["--sketch-dim", "4", "--sketch", "gaussian", "--unit-rows", "--seed", "3"]
    found = chosen("X.npy", *options, "--method", "v-optimal", "--threads", "1")
    expected = skmm.select(X, 30, sketch_dim=4, sketch="gaussian", unit_rows=True, seed=3,
                           method="v-optimal")  # fmt: skip
    assert np.array_equal(found, expected.indices)
