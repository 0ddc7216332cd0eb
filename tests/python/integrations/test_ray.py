"""Ray Data: actors sketch, a data set of sketches is selected from. Where Ray is not installed a
stand-in has its `map_batches`, `iter_batches` and `count`."""

import numpy as np
import pytest
from support.stand_ins import Blocks

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset
from skmm_fast.integrations.ray import SketchActor, select_from

N, D, C = 90, 5, 3
RNG = np.random.default_rng(0)
ROWS = {
    "id": np.arange(N),
    "x": RNG.standard_normal((N, D)).astype(np.float32),
    "labels": RNG.integers(0, C, N),
    "text": np.array([f"text {i}" for i in range(N)]),
}
TENSORS = {name: ROWS[name] for name in ("id", "x", "labels")}


def make_sketcher(targets="label"):
    torch.manual_seed(0)
    model = torch.nn.Linear(D, C).eval()
    return GradientSketcher(model, params="all", sketch_dim=12, targets=targets, n_threads=1)


def blocks(rows=TENSORS, size=16, seed=1):
    order = np.random.default_rng(seed).permutation(N)
    return Blocks([{k: x[order[i : i + size]] for k, x in rows.items()} for i in range(0, N, size)])


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    data = torch.utils.data.TensorDataset(
        torch.from_numpy(ROWS["x"]), torch.from_numpy(ROWS["labels"])
    )
    return sketch_dataset(make_sketcher(), data, tmp_path_factory.mktemp("s"), progress=False)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_choice_of_one_process(expected, seed, tmp_path):
    sketches = blocks(seed=seed).map_batches(SketchActor, fn_constructor_args=(make_sketcher,))
    chosen, selection = select_from(sketches, 12, scratch_dir=tmp_path, y=ROWS["labels"])
    assert np.array_equal(chosen, skmm.select(expected, 12, y=ROWS["labels"]).indices)
    assert np.array_equal(chosen, selection.indices)


def test_ids_of_their_own(expected):
    rows = {**TENSORS, "id": 10 * ROWS["id"] + 7}
    sketches = blocks(rows).map_batches(SketchActor, fn_constructor_args=(make_sketcher,))
    chosen, selection = select_from(sketches, 12)
    assert np.array_equal(chosen, 10 * selection.indices + 7)
    assert np.array_equal(selection.indices, skmm.select(expected, 12).indices)


def test_batches_of_a_users_own(expected):
    def make_batch(rows):
        return {
            "input": torch.from_numpy(rows["x"].copy()),
            "labels": torch.from_numpy(rows["labels"]),
        }

    actor = SketchActor(make_sketcher, make_batch, keep=["text"], column="z")
    out = actor({name: x[5:9] for name, x in ROWS.items()})
    assert list(out) == ["id", "text", "z"]
    assert out["text"].tolist() == ["text 5", "text 6", "text 7", "text 8"]
    np.testing.assert_allclose(out["z"], expected.array()[5:9], rtol=1e-5, atol=1e-6)


def test_targets_are_drawn_by_id():
    actor = SketchActor(lambda: make_sketcher("random"))
    whole = actor(TENSORS)["sketch"]
    some = {name: x[[40, 3]] for name, x in TENSORS.items()}
    np.testing.assert_allclose(actor(some)["sketch"], whole[[40, 3]], rtol=1e-5, atol=1e-6)


def test_arrays_of_arrays():
    rows = np.empty(4, object)
    rows[:] = list(np.eye(4, 3, dtype=np.float32))
    chosen, _ = select_from(Blocks([{"id": np.arange(4), "sketch": rows}]), 2)
    assert len(chosen) == 2


@pytest.mark.parametrize(
    ("batches", "error", "said"),
    [
        ([{"id": [0, 1, 1], "sketch": np.eye(3)}], ValueError, "id: expected 3 distinct numbers"),
        ([{"id": [0.5, 1, 2], "sketch": np.eye(3)}], TypeError, "id: expected integers"),
        (
            [{"id": [0, 1], "sketch": np.eye(2)}, {"id": [2], "sketch": np.eye(1, 3)}],
            ValueError,
            "sketch: expected rows of 2 float64, got 3 of float64",
        ),
        ([{"id": [0, 1], "sketch": np.eye(2, dtype=int)}], TypeError, "sketch: expected float32"),
        ([{"id": [0, 1]}], KeyError, "sketch"),
    ],
)
def test_errors(batches, error, said):
    with pytest.raises(error, match=said):
        select_from(Blocks(batches), 2)


@pytest.mark.filterwarnings("ignore")  # what Ray warns of is its own
def test_ray_itself(expected):
    ray = pytest.importorskip("ray")

    def make():  # a function of a function goes to the actors whole, without this module
        import torch

        from skmm_fast.gradients import GradientSketcher

        torch.manual_seed(0)
        model = torch.nn.Linear(5, 3).eval()
        return GradientSketcher(model, params="all", sketch_dim=12, n_threads=1)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        order = np.random.default_rng(3).permutation(N)
        items = [{k: x[i] for k, x in TENSORS.items()} for i in order]
        sketches = ray.data.from_items(items, override_num_blocks=4).map_batches(
            SketchActor, fn_constructor_args=(make,), batch_size=16, concurrency=2
        )
        chosen, _ = select_from(sketches, 12)
    finally:
        ray.shutdown()
    assert np.array_equal(chosen, skmm.select(expected, 12).indices)
