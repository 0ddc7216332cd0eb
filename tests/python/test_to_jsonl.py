"""The chosen samples of any kind of data set as JSON Lines."""

import datetime
import json

import numpy as np
import pytest

import skmm_fast as skmm

N = 12
SELECTION = skmm.select(np.random.default_rng(0).standard_normal((N, 3)), 4)
SAMPLES = [{"id": i, "text": f"naïve \n {i}", "x": [i / 3, float("nan")]} for i in range(N)]
ROWS = [[i, f"naïve \n {i}"] for i in SELECTION]


def written(tmp_path, dataset):
    path = SELECTION.to_jsonl(tmp_path / "chosen.jsonl", dataset)
    assert [p.name for p in tmp_path.iterdir() if "chosen" in p.name] == ["chosen.jsonl"]
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def as_kind(kind):
    columns = {name: [sample[name] for sample in SAMPLES] for name in SAMPLES[0]}
    if kind == "list":
        return SAMPLES
    if kind == "torch":
        torch = pytest.importorskip("torch")

        class Data(torch.utils.data.Dataset):
            def __len__(self):
                return N

            def __getitem__(self, i):
                return {**SAMPLES[i], "x": torch.tensor(SAMPLES[i]["x"])}

        return Data()
    if kind == "datasets":
        return pytest.importorskip("datasets").Dataset.from_dict(columns)
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(columns)
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(columns)
    return pytest.importorskip("pyarrow").table(columns)


@pytest.mark.parametrize("kind", ["list", "torch", "datasets", "pandas", "polars", "pyarrow"])
def test_samples_of_columns(tmp_path, kind):
    found = written(tmp_path, as_kind(kind))
    assert [[sample["id"], sample["text"]] for sample in found] == ROWS
    assert all(len(sample["x"]) == 2 for sample in found)


def test_values(tmp_path):
    assert written(tmp_path, [f"text {i}" for i in range(N)]) == [f"text {i}" for i in SELECTION]
    pairs = np.arange(2 * N).reshape(N, 2)
    assert written(tmp_path, pairs) == pairs[SELECTION].tolist()


def test_values_that_json_writes_otherwise(tmp_path):
    day, half = datetime.date(2026, 1, 2), "\ud800"
    assert written(tmp_path, [[day, float("nan"), half]] * N) == [["2026-01-02", None, half]] * 4
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": ["x", None] * 6, "b": [pd.NaT, pd.Timestamp(day)] * 6})
    for sample, row in zip(written(tmp_path, frame), SELECTION, strict=True):
        expected = {"a": None, "b": "2026-01-02T00:00:00"} if row % 2 else {"a": "x", "b": None}
        assert sample == expected


def test_lines_of_a_file_as_they_are(tmp_path):
    lines = [f'{{"id":{i},   "odd":1e0}}' for i in range(N)]
    source = tmp_path / "pool.jsonl"
    source.write_text("\n".join([*lines[:3], "", *lines[3:]]))  # no end of the last line
    path = SELECTION.to_jsonl(tmp_path / "chosen.jsonl", source)
    assert path.read_text() == "".join(lines[i] + "\n" for i in SELECTION)


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match="dataset: expected 12 samples, got 11"):
        written(tmp_path, SAMPLES[1:])
    source = tmp_path / "pool.jsonl"
    source.write_text('{"a": 1}\n' * (N + 1))
    with pytest.raises(ValueError, match="dataset: expected 12 samples, got 13"):
        SELECTION.to_jsonl(tmp_path / "chosen.jsonl", source)
    first = SELECTION.indices[0]
    for value, said in ((b"bytes", "bytes"), (float("inf"), "inf")):
        with pytest.raises(TypeError, match=f"dataset: .*, got {said} in sample {first}"):
            written(tmp_path, [{"at": value}] * N)
    assert not (tmp_path / "chosen.jsonl").exists()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        SELECTION.to_jsonl(tmp_path / "chosen.jsonl", tmp_path / "nowhere.jsonl")
