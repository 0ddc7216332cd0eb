"""A stage for NeMo Curator, on stand-ins of its classes and, where it is installed, on its own."""

import importlib
import pickle
import sys

import numpy as np
import pytest

pd = pytest.importorskip("pandas")

from support import stand_ins

import skmm_fast as skmm
from skmm_fast.integrations import nemo_curator as adapter

N = 30
ROWS = pd.DataFrame(
    {
        "text": [f"text {i}" for i in range(N)],
        "embeddings": list(np.random.default_rng(0).standard_normal((N, 6)).astype(np.float32)),
        "kind": np.arange(N) % 3,
    },
    index=range(100, 100 + N),
)
Z = np.stack(ROWS["embeddings"])


@pytest.fixture(params=["stand-in", "real"])
def curator(request, monkeypatch):
    """The module of tasks, with the base of stages beside it."""
    if request.param == "real":
        pytest.importorskip("nemo_curator.stages.base")
    else:
        stand_ins.put_in_place(monkeypatch, "nemo_curator")
    stand_ins.forget(adapter, "SelectionStage")
    yield importlib.import_module("nemo_curator.tasks")
    stand_ins.forget(adapter, "SelectionStage")


pytestmark = pytest.mark.filterwarnings("ignore")  # what NeMo Curator warns of is its own


def batch_of(curator, data=ROWS):
    return curator.DocumentBatch(dataset_name="texts", data=data, _metadata={"from": "here"})


def test_a_share_of_each_batch(curator):
    stage = adapter.SelectionStage(0.2, seed=3)
    batches = [batch_of(curator, ROWS[:20]), batch_of(curator, ROWS[20:])]
    first, second = stage.process_batch(batches)
    expected = skmm.select(Z[:20], 4, seed=3).indices
    assert first.data.equals(ROWS.iloc[expected])
    assert len(second.data) == 2
    assert (first.dataset_name, first._metadata) == ("texts", {"from": "here"})
    assert len(batches[0].data) == 20  # what came is as it was


def test_an_arrow_table(curator):
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pandas(ROWS, preserve_index=False)
    (out,) = adapter.SelectionStage(5).process_batch([batch_of(curator, table)])
    assert isinstance(out.data, pa.Table)
    assert out.data.equals(table.take(skmm.select(Z, 5).indices))


def test_classes_and_other_options(curator):
    stage = adapter.SelectionStage(
        6, column="embeddings", labels="kind", method="uniform", per_class="balanced"
    )
    assert stage.inputs() == (["data"], ["embeddings", "kind"])
    assert stage.outputs() == (["data"], [])
    out = stage.process(batch_of(curator))
    assert np.bincount(out.data["kind"]).tolist() == [2, 2, 2]


def test_batches_of_no_more_than_n_rows(curator):
    for rows in (ROWS[:0], ROWS[:1], ROWS[:5]):
        task = batch_of(curator, rows)
        assert adapter.SelectionStage(5).process(task) is task
    assert len(adapter.SelectionStage(0.01).process(batch_of(curator)).data) == 1


def test_a_stage_of_its_class(curator):
    stage = adapter.SelectionStage(4)
    base = importlib.import_module("nemo_curator.stages.base").ProcessingStage
    assert isinstance(stage, base)
    assert stage.name == "skmm_selection"
    assert adapter.SelectionStage is type(stage)
    again = pickle.loads(pickle.dumps(stage))
    assert type(again) is type(stage)
    assert vars(again) == vars(stage)


@pytest.mark.parametrize(
    ("n", "error", "said"),
    [
        (0, ValueError, "n: expected an int in"),
        (1.5, ValueError, r"n: expected an int, or a float in \(0, 1\)"),
        ("3", TypeError, "n: expected an int in"),
    ],
)
def test_an_n_that_is_none(curator, n, error, said):
    with pytest.raises(error, match=said):
        adapter.SelectionStage(n)


def test_columns_that_hold_no_vectors(curator):
    ragged = ROWS.assign(embeddings=[np.ones(1 + i % 2) for i in range(N)])
    with pytest.raises(ValueError, match=r"embeddings: expected vectors of one length, got shapes"):
        adapter.SelectionStage(3).process(batch_of(curator, ragged))
    with pytest.raises(TypeError, match="text: expected float16 or float32 or float64"):
        adapter.SelectionStage(3, column="text").process(batch_of(curator))
    with pytest.raises(KeyError, match="absent"):
        adapter.SelectionStage(3, column="absent").process(batch_of(curator))


def test_without_nemo_curator(monkeypatch):
    stand_ins.forget(adapter, "SelectionStage")
    monkeypatch.setitem(sys.modules, "nemo_curator.stages.base", None)
    with pytest.raises(ImportError, match="nemo_curator is needed here"):
        adapter.SelectionStage  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Stage'"):
        adapter.Stage  # noqa: B018


def test_a_pipeline_of_nemo_curator():
    pipelines = pytest.importorskip("nemo_curator.pipeline")
    tasks = importlib.import_module("nemo_curator.tasks")
    backends = importlib.import_module("nemo_curator.backends.base")

    class InThisProcess(backends.BaseExecutor):
        """Runs stage after stage by the adapter that its executors have."""

        def execute(self, stages, initial_tasks=None):
            for stage in stages:
                runs = backends.BaseStageAdapter(stage)
                runs.setup()
                initial_tasks = runs.process_batch(initial_tasks)
            return initial_tasks

    pipeline = pipelines.Pipeline("choose").add_stage(adapter.SelectionStage(0.5))
    assert "embeddings" in pipeline.describe()
    given = [batch_of(tasks, ROWS[:10]), batch_of(tasks, ROWS[10:])]
    out = pipeline.run(InThisProcess(), initial_tasks=given)
    assert [len(task.data) for task in out] == [5, 10]
    assert out[0].data.equals(ROWS[:10].iloc[skmm.select(Z[:10], 5).indices])
