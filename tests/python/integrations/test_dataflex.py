"""A selector for DataFlex: alone, on ranks, and by DataFlex's registry where it is installed."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.on_ranks import on_ranks

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher
from skmm_fast.integrations.dataflex import SketchSelector

N, D, C = 60, 5, 3
OPTIONS = {"params": "all", "sketch_dim": 12, "n_threads": 1}


def samples(n=N, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, D, generator=generator)
    return torch.utils.data.TensorDataset(X, torch.arange(n) % C)


def linear():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(D, 4), torch.nn.Dropout(0.5), torch.nn.Linear(4, C))


def sketches(data=None):
    return GradientSketcher(linear().eval(), **OPTIONS)((data or samples()).tensors)


class Accelerator:
    """What of an accelerate.Accelerator is used."""

    is_main_process = True

    def unwrap_model(self, model):
        return model.module


def test_the_choice_at_this_model(tmp_path):
    selector = SketchSelector(
        samples(), cache_dir=tmp_path / "steps", sketcher=OPTIONS, batch_size=16
    )
    model = linear().train()
    model[0].eval()
    chosen = selector.select(model, step_id=20, num_samples=9, optimizer_state={})
    assert chosen == skmm.select(sketches(), 9).indices.tolist()
    assert all(type(row) is int for row in chosen)
    assert [m.training for m in model] == [False, True, True]  # as it was before
    saved = skmm.Selection.load(tmp_path / "steps" / "step_20.npz")
    assert saved.indices.tolist() == chosen
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    assert selector.select(model, 40, 9) != chosen


def test_options_and_wrappers():
    wrapped = torch.nn.Module()
    wrapped.module = linear()
    selector = SketchSelector(
        samples(), Accelerator(), None, None, None, sketcher=OPTIONS, seed=4,
        options={"method": "uniform", "diagnose": "none"},
    )  # fmt: skip
    expected = skmm.select(sketches(), 9, method="uniform", seed=4).indices.tolist()
    assert selector.select(wrapped, 0, 9) == expected


def test_toward_the_samples_of_a_task():
    task = samples(10, seed=3)
    selector = SketchSelector(
        samples(), eval_dataset=task, toward_eval=True, sketcher=OPTIONS, batch_size=7
    )
    expected = skmm.select(sketches(), 9, target=sketches(task)).indices.tolist()
    assert selector.select(linear(), 0, 9) == expected


def test_a_pool_of_candidates():
    selector = SketchSelector(samples(), sketcher=OPTIONS)
    pool = np.arange(50, 10, -2)
    selector.set_candidate_pool(pool.tolist())
    kept = np.sort(pool)
    expected = kept[skmm.select(sketches().numpy()[kept], 6).indices].tolist()
    assert selector.select(linear(), 0, 6) == expected
    selector.set_candidate_pool(None)
    assert selector.select(linear(), 0, 6) == skmm.select(sketches(), 6).indices.tolist()
    with pytest.raises(ValueError, match=r"indices: expected rows in \[0, 59\], got 60"):
        selector.set_candidate_pool([3, 60])


def test_a_language_model_and_its_collator():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=32, use_cache=False,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("mlp" in name)
    rng = np.random.default_rng(0)
    data = [{"input_ids": rng.integers(3, 40, size).tolist()} for size in rng.integers(4, 12, 24)]

    def collate(rows):
        longest = max(len(row["input_ids"]) for row in rows)
        padded = [row["input_ids"] + [0] * (longest - len(row["input_ids"])) for row in rows]
        mask = [[int(i < len(row["input_ids"])) for i in range(longest)] for row in rows]
        ids, mask = torch.tensor(padded), torch.tensor(mask)
        return {"input_ids": ids, "attention_mask": mask, "labels": ids.where(mask > 0, -100)}

    usual = {"params": "trainable", "loss": "causal-lm"}
    assert SketchSelector(data).sketcher == usual
    selector = SketchSelector(data, sketcher={**usual, "sketch_dim": 32}, batch_size=8)
    selector.data_collator = collate  # DataFlex sets it after the selector is made
    chosen = selector.select(model, 5, 6)
    Z = GradientSketcher(model.eval(), **usual, sketch_dim=32)(collate(data))
    assert chosen == skmm.select(Z, 6).indices.tolist()


def test_warmup():
    selector = SketchSelector(samples(), seed=5)
    rows = selector.warmup(100, replacement=True)
    assert len(rows) == 100
    assert set(rows) <= set(range(N))
    assert sorted(selector.warmup(N, replacement=False)) == list(range(N))
    assert rows == SketchSelector(samples(), seed=5).warmup(100)
    with pytest.raises(ValueError, match="larger sample than population"):
        selector.warmup(N + 1, replacement=False)


def of_rank(folder, rank, size):
    data = samples(N if rank >= 0 else 1)
    selector = SketchSelector(data, cache_dir=folder, sketcher=OPTIONS, batch_size=8)
    chosen = selector.select(linear(), 3, 9)
    selector.set_candidate_pool([4, 7])  # fewer rows than ranks
    return chosen, selector.select(linear(), 4, 1), sorted(p.name for p in folder.glob("step*"))


def test_ranks_make_the_choice_of_one_process(tmp_path):
    found = on_ranks(of_rank, 3, tmp_path / "ranks")
    expected = skmm.select(sketches(), 9).indices.tolist()
    assert [chosen for chosen, _, _ in found] == [expected] * 3
    assert len({tuple(one) for _, one, _ in found}) == 1
    assert found[0][2] == ["step_3.npz", "step_4.npz"]


def failing(folder, rank, size):
    data = samples() if rank else [("text", 0)] * 5
    SketchSelector(data, sketcher=OPTIONS).select(linear(), 3, 4)


def test_a_rank_that_fails_stops_the_others(tmp_path):
    found = on_ranks(failing, 2, tmp_path / "ranks")
    assert all(isinstance(said, str) for said in found)
    assert "rank 0" in found[1]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"toward_eval": True}, ValueError, "eval_dataset: expected samples with toward_eval"),
        ({"toward_eval": 1}, TypeError, "toward_eval: expected True or False"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an int >= 1"),
        ({"seed": -1}, ValueError, "seed: expected an int in"),
    ],
)
def test_errors(arguments, error, said):
    with pytest.raises(error, match=said):
        SketchSelector(samples(), **arguments)


def test_the_published_signature():
    """That of `dataflex.train.selector.base_selector.Selector` in DataFlex 1.1.0."""
    made, select, warmup = (
        [*inspect.signature(f).parameters]
        for f in (SketchSelector, SketchSelector.select, SketchSelector.warmup)
    )
    assert made[:4] == ["dataset", "accelerator", "data_collator", "cache_dir"]
    assert select[:4] == ["self", "model", "step_id", "num_samples"]
    assert warmup == ["self", "num_samples", "replacement"]


@pytest.mark.filterwarnings("ignore")  # what DataFlex warns of is its own
def test_dataflex_itself(tmp_path):
    registry = pytest.importorskip("dataflex.core.registry")
    registry.register_selector("skmm")(SketchSelector)
    runtime = {
        "dataset": samples(), "eval_dataset": None, "accelerator": Accelerator(),
        "data_collator": None,
    }  # fmt: skip
    config = {"cache_dir": str(tmp_path), "sketcher": OPTIONS, "batch_size": 8}
    selector = registry.REGISTRY.build("selector", "skmm", runtime=runtime, cfg=config)
    wrapped = torch.nn.Module()
    wrapped.module = linear()
    expected = skmm.select(sketches(), 9).indices.tolist()
    assert selector.select(model=wrapped, step_id=3, num_samples=9) == expected
    base = pytest.importorskip("dataflex.train.selector.base_selector").Selector
    for name in ("select", "warmup", "set_candidate_pool"):
        theirs = inspect.signature(getattr(base, name)).parameters
        ours = inspect.signature(getattr(SketchSelector, name)).parameters
        assert [*ours][: len(theirs) - (name == "select")] == [
            p for p in theirs if p != "kwargs"
        ], name
