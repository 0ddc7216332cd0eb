"""A Trainer whose samples are chosen again as its model changes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from support.on_ranks import on_ranks

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset
from skmm_fast.integrations.transformers import Reselection

N, n, T = 48, 12, 6
RNG = np.random.default_rng(0)
POOL = [{"input_ids": (tokens := RNG.integers(0, 20, T).tolist()), "labels": tokens}
        for _ in range(N)]  # fmt: skip


def model():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


def trainer(tmp_path, dataset, callbacks, **options):
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), per_device_train_batch_size=4, learning_rate=0.01, report_to=[],
        use_cpu=True, disable_tqdm=True, save_strategy="no", logging_steps=1, seed=3, **options,
    )  # fmt: skip
    return transformers.Trainer(
        model(), arguments, train_dataset=dataset, callbacks=callbacks,
        data_collator=transformers.default_data_collator,
    )  # fmt: skip


SKETCHER = {"params": "last", "loss": "causal-lm", "sketch_dim": 8}
OPTIONS = {"sketcher": SKETCHER, "collate_fn": transformers.default_data_collator, "batch_size": 16}


class Records(transformers.TrainerCallback):
    """The weights before each step, and the rows that are there then."""

    def __init__(self, reselection):
        self.reselection, self.states, self.rows = reselection, {}, {}

    def on_step_begin(self, args, state, control, model=None, **_):
        self.states[state.global_step] = {k: v.clone() for k, v in model.state_dict().items()}
        self.rows[state.global_step] = list(self.reselection.dataset.rows)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("when", "steps"), [({"every_epochs": 1}, [0, 3]), ({"every_steps": 2}, [0, 2, 4]), ({}, [0])]
)
def test_choices_are_those_at_the_model_of_the_time(tmp_path, when, steps):
    reselection = Reselection(POOL, n, seed=5, **when, **OPTIONS)
    records = Records(reselection)
    trained = trainer(tmp_path, reselection.dataset, [reselection, records], num_train_epochs=2)
    trained.train()
    assert trained.model.training
    assert [step for step, _ in reselection.selections] == steps
    for step, selection in reselection.selections:
        at = model().eval()
        at.load_state_dict(records.states[step])
        store = sketch_dataset(
            GradientSketcher(at, **SKETCHER), POOL, tmp_path / f"expected-{step}", progress=False,
            collate_fn=transformers.default_data_collator, batch_size=16,
        )  # fmt: skip
        expected = skmm.select(store, n, seed=5).indices
        assert np.array_equal(selection.indices, expected)
        assert records.rows[step] == expected.tolist()
    assert not list((tmp_path / "out").glob("reselection-*"))


@pytest.mark.filterwarnings("ignore")
def test_training_itself_is_not_changed(tmp_path):
    """A choice of all samples between the steps leaves the losses as they were."""
    losses = []
    reselection = Reselection(POOL, N, every_steps=2, method="uniform", **OPTIONS)
    for dataset, callbacks in ((POOL, []), (reselection.dataset, [reselection])):
        trained = trainer(tmp_path, dataset, callbacks, max_steps=7)
        trained.train()
        losses.append([entry["loss"] for entry in trained.state.log_history if "loss" in entry])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 7


@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_a_killed_run_left(tmp_path):
    (tmp_path / "out" / "reselection-0").mkdir(parents=True)
    (tmp_path / "out" / "reselection-0" / "manifest.json").write_text("{}")
    reselection = Reselection(POOL, n, **OPTIONS)
    trained = trainer(tmp_path, reselection.dataset, [reselection], max_steps=1)
    trained.train()
    assert len(reselection.selections) == 1


class Arguments:
    """Of a Trainer, as the callback reads them."""

    def __init__(self, folder):
        self.output_dir = str(folder)


class State:
    global_step, max_steps, epoch = 0, 9, 0.0


def choose(folder, rank, size):
    """The choices of a process; the second is slow to sketch its part."""
    import time

    at = model()
    at.lm_head.eval()  # a part that is in eval mode stays so

    def slow(samples):
        time.sleep(0.3 * rank)
        return transformers.default_data_collator(samples)

    reselection = Reselection(POOL * 20, n, **{**OPTIONS, "collate_fn": slow, "batch_size": 240})
    for step in (0, 3):
        State.global_step = step
        reselection.on_train_begin(Arguments(folder.parent / "out"), State, None, model=at)
    assert at.training
    assert not at.lm_head.training
    assert not list((folder.parent / "out").glob("reselection-*"))
    return [selection.indices for _, selection in reselection.selections]


def test_processes_choose_alike_and_wait_for_each_other(tmp_path):
    first, second, third = on_ranks(choose, 3, tmp_path / "ranks")
    assert len(first) == 2, first
    for other in (second, third):
        assert not isinstance(other, str), other
        assert all(map(np.array_equal, first, other))


def test_bad_arguments():
    with pytest.raises(ValueError, match="every_epochs: expected None beside every_steps, got 1"):
        Reselection(POOL, n, every_steps=1, every_epochs=1)
    with pytest.raises(ValueError, match=r"n: expected an int in \[1, 48\], got 49"):
        Reselection(POOL, N + 1)
    with pytest.raises(ValueError, match=r"every_steps: .* got 0"):
        Reselection(POOL, n, every_steps=0)
