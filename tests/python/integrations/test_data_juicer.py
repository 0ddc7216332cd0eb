"""A selector for Data-Juicer, on stand-ins of its classes and, where there is one, on its own."""

import importlib
import sys

import numpy as np
import pytest

datasets = pytest.importorskip("datasets")

from support import stand_ins

import skmm_fast as skmm
from skmm_fast.integrations import data_juicer as adapter

N = 30
Z = np.random.default_rng(0).standard_normal((N, 6))
ROWS = {
    "text": [f"text {i}" for i in range(N)],
    "embedding": Z.tolist(),
    "meta": [{"kind": i % 3, "vector": {"sketch": row}} for i, row in enumerate(Z.tolist())],
}

pytestmark = pytest.mark.filterwarnings("ignore")  # what Data-Juicer warns of is its own


@pytest.fixture(params=["stand-in", "real"])
def operators(request, monkeypatch):
    """The module of operators, in whose registry the selector is."""
    if request.param == "real":
        pytest.importorskip("data_juicer.ops.base_op")
    else:
        stand_ins.put_in_place(monkeypatch, "data_juicer")
    stand_ins.forget(adapter, "SkmmSelector")
    yield importlib.import_module("data_juicer.ops.base_op")
    stand_ins.forget(adapter, "SkmmSelector")


def test_the_rows_chosen(operators):
    data = datasets.Dataset.from_dict(ROWS)
    out = adapter.SkmmSelector(n=7, options={"seed": 2}).run(data)
    expected = skmm.select(Z, 7, seed=2).indices
    assert out["text"] == [f"text {i}" for i in expected]
    assert out.features == data.features
    assert len(adapter.SkmmSelector(n=0.2).process(data)) == 6
    assert len(adapter.SkmmSelector().process(data)) == 15


def test_fields_inside_of_fields(operators):
    op = adapter.SkmmSelector(
        6, "meta.vector.sketch", "meta.kind", {"method": "uniform", "per_class": "balanced"}
    )
    out = op.process(datasets.Dataset.from_dict(ROWS))
    assert np.bincount([meta["kind"] for meta in out["meta"]]).tolist() == [2, 2, 2]


def test_no_more_than_n_rows(operators):
    for size in (0, 1, 5):
        data = datasets.Dataset.from_dict(ROWS).select(range(size))
        assert adapter.SkmmSelector(5).process(data)["text"] == data["text"]


def test_a_selector_of_its_class(operators):
    op = adapter.SkmmSelector(n=3, text_key="content")
    assert isinstance(op, operators.Selector)
    assert op.text_key == "content"
    assert op._name == "skmm_selector"
    assert operators.OPERATORS.modules["skmm_selector"] is adapter.SkmmSelector is type(op)


@pytest.mark.parametrize(
    ("n", "error", "said"),
    [
        (0, ValueError, "n: expected an int in"),
        (1.0, ValueError, r"n: expected an int, or a float in \(0, 1\)"),
        (None, TypeError, "n: expected an int in"),
    ],
)
def test_an_n_that_is_none(operators, n, error, said):
    with pytest.raises(error, match=said):
        adapter.SkmmSelector(n=n)


def test_fields_that_hold_no_vectors(operators):
    data = datasets.Dataset.from_dict(ROWS)
    with pytest.raises(TypeError, match="text: expected float16 or float32 or float64"):
        adapter.SkmmSelector(3, "text").process(data)
    with pytest.raises(ValueError, match=r"absent.x: expected a field of \['text', .*'absent'"):
        adapter.SkmmSelector(3, "absent.x").process(data)


def test_without_data_juicer(monkeypatch):
    stand_ins.forget(adapter, "SkmmSelector")
    monkeypatch.setitem(sys.modules, "data_juicer.ops.base_op", None)
    with pytest.raises(ImportError, match="data_juicer is needed here"):
        adapter.SkmmSelector  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Selector'"):
        adapter.Selector  # noqa: B018


def test_the_process_of_data_juicer():
    data = pytest.importorskip("data_juicer.core.data")
    stand_ins.forget(adapter, "SkmmSelector")
    selector = adapter.SkmmSelector
    ops = importlib.import_module("data_juicer.ops").load_ops
    (op,) = ops([{"skmm_selector": {"n": 7, "field_key": "meta.vector.sketch"}}])
    assert type(op) is selector
    given = data.NestedDataset(datasets.Dataset.from_dict(ROWS))
    out = given.process([op], open_monitor=False)
    assert isinstance(out, data.NestedDataset)
    assert out["text"] == [f"text {i}" for i in skmm.select(Z, 7).indices]
