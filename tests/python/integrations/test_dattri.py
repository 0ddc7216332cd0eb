"""`random_project` for dattri: alone, and in its attributors where it is installed."""

import inspect

import pytest

torch = pytest.importorskip("torch")

from skmm_fast.integrations.dattri import random_project
from skmm_fast.sketch.operators import KINDS

R, M = 340, 24


def features():
    generator = torch.Generator().manual_seed(0)
    shapes = {"weight": (10, 30), "bias": (40,)}
    return {k: torch.randn(5, *s, generator=generator) for k, s in shapes.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_sketch(kind):
    given = features()
    whole = torch.cat([x.reshape(5, -1) for x in given.values()], dim=1)
    expected = KINDS[kind](R, M, seed=5 + 2 * 2**32).apply(whole)
    for feature in (given, whole, torch.zeros(5, R)):
        project = random_project(feature, 5, M, 32, 5, kind, device="cpu", n_threads=1)
        torch.testing.assert_close(project(given, ensemble_id=2), expected)
        torch.testing.assert_close(project(whole, ensemble_id=2), expected)
        torch.testing.assert_close(project(whole[:2], 2), expected[:2])  # of another batch size
    assert torch.equal(project(whole), project(whole, ensemble_id=0))
    assert not torch.allclose(project(whole), expected)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"feature_batch_size": 4}, ValueError, r"feature\['weight'\]: expected feature_batch_"),
        ({"proj_dim": R + 1}, ValueError, "out_dim: expected at most in_dim"),
        ({"proj_type": "normal"}, ValueError, "proj_type: expected one of 'sparse-sign'"),
        ({"proj_seed": -1}, ValueError, "seed: expected an int in"),
        ({"feature": [[1.0]]}, TypeError, "feature: expected an array, got list"),
    ],
)
def test_errors(arguments, error, said):
    usual = {"feature": features(), "feature_batch_size": 5, "proj_dim": M}
    with pytest.raises(error, match=said):
        random_project(**{**usual, **arguments})


@pytest.mark.filterwarnings("ignore")  # what dattri warns of is its own
def test_dattri_itself(monkeypatch):
    attributors = pytest.importorskip("dattri.algorithm.trak")
    from dattri.task import AttributionTask

    theirs = inspect.signature(attributors.random_project).parameters
    ours = inspect.signature(random_project).parameters
    assert [*ours][: len(theirs)] == [*theirs]
    assert all(ours[name].kind == theirs[name].kind for name in theirs)

    used = []

    def seen(*args, **kwargs):
        project = random_project(*args, **kwargs)
        return lambda x, ensemble_id: used.append((x, ensemble_id)) or project(x, ensemble_id)

    monkeypatch.setattr(attributors, "random_project", seen)
    torch.manual_seed(0)
    N, T, D, C = 30, 4, 12, 3
    model = torch.nn.Sequential(torch.nn.Linear(D, 8), torch.nn.ReLU(), torch.nn.Linear(8, C))
    X, y = torch.randn(N, D), torch.arange(N) % C

    def log_odds(params, sample):
        x, label = sample
        logits = torch.func.functional_call(model, params, x.unsqueeze(0))
        logp = -torch.nn.functional.cross_entropy(logits, label.unsqueeze(0))
        return logp - torch.log(1 - torch.exp(logp))

    def probability(params, sample):
        x, label = sample
        logits = torch.func.functional_call(model, params, x.unsqueeze(0))
        return torch.exp(-torch.nn.functional.cross_entropy(logits, label.unsqueeze(0)))

    states = [model.state_dict(), {k: p + 0.1 for k, p in model.state_dict().items()}]
    task = AttributionTask(loss_func=log_odds, model=model, checkpoints=states)
    attributor = attributors.TRAKAttributor(
        task=task, correct_probability_func=probability, regularization=1e-4,
        projector_kwargs={"proj_dim": 16, "proj_seed": 3, "proj_type": "grouped-sign"},
    )  # fmt: skip

    def loader(rows):
        data = torch.utils.data.TensorDataset(X[:rows], y[:rows])
        return torch.utils.data.DataLoader(data, batch_size=16)

    attributor.cache(loader(N))
    scores = attributor.attribute(loader(T))
    assert scores.shape == (N, T)
    assert scores.isfinite().all()
    assert {number for _, number in used} == {0, 1}
    r = sum(p.numel() for p in model.parameters())
    assert all(x.shape[1] == r for x, _ in used)
