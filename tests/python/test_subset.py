"""The chosen samples of a data set, of whatever kind it is."""

import numpy as np
import pytest
import scipy.sparse as sp

import skmm_fast as skmm

N, n = 12, 4
SELECTION = skmm.select(np.random.default_rng(0).standard_normal((N, 3)), n)
ROWS = SELECTION.indices.tolist()


@pytest.mark.parametrize("columns", [1, 2, 20])
@pytest.mark.parametrize("kind", ["table", "batch"])
def test_arrow_tables_give_rows(columns, kind):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({f"c{j}": np.arange(N) * 100 + j for j in range(columns)})
    if kind == "batch":
        table = table.to_batches()[0]
    found = SELECTION.subset(table)
    assert type(found) is type(table)
    assert found.column_names == table.column_names
    assert found.to_pydict() == {
        name: [values[i] for i in ROWS] for name, values in table.to_pydict().items()
    }


def test_arrow_arrays():
    pa = pytest.importorskip("pyarrow")
    for array in (pa.array(range(N)), pa.chunked_array([range(5), range(5, N)])):
        assert SELECTION.subset(array).to_pylist() == ROWS


def test_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": np.arange(N), "text": list("abcdefghijkl")}, index=range(90, 102))
    assert SELECTION.subset(frame)["id"].tolist() == ROWS
    assert SELECTION.subset(frame["id"]).tolist() == ROWS
    assert SELECTION.subset(frame.index).tolist() == [90 + i for i in ROWS]


@pytest.mark.parametrize("columns", [1, N, 20])
def test_polars_frames(columns):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({f"c{j}": np.arange(N) + j for j in range(columns)})
    assert SELECTION.subset(frame)["c0"].to_list() == ROWS
    assert SELECTION.subset(frame["c0"]).to_list() == ROWS


def test_hugging_face():
    datasets = pytest.importorskip("datasets")
    found = SELECTION.subset(datasets.Dataset.from_dict({"id": list(range(N))}))
    assert found["id"][:] == ROWS


def test_arrays_and_sequences():
    assert SELECTION.subset(np.arange(N)).tolist() == ROWS
    assert SELECTION.subset(sp.csr_array(np.arange(N)[:, None])).toarray().ravel().tolist() == ROWS
    assert SELECTION.subset(list(range(N))) == ROWS
    assert SELECTION.subset(tuple(range(N))) == ROWS
    torch = pytest.importorskip("torch")
    assert SELECTION.subset(torch.arange(N)).tolist() == ROWS
    samples = torch.utils.data.TensorDataset(torch.arange(N))
    assert [int(x) for (x,) in SELECTION.subset(samples)] == ROWS


def test_a_mapping_is_no_list_of_samples():
    """Its length is the number of its columns, which may be N by chance."""
    columns = {f"c{j}": np.arange(N) for j in range(N)}
    with pytest.raises(TypeError, match="dataset: expected samples by row number, got dict"):
        SELECTION.subset(columns)
