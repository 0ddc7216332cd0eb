"""A projector for TRAK: alone, and in TRAK where it is installed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import skmm_fast as skmm
from skmm_fast.integrations.trak import SketchProjector
from skmm_fast.sketch.operators import KINDS

N, T, D, C, M = 40, 6, 12, 3, 32
SHAPES = {"weight": (20, 10), "bias": (20,), "scale": ()}
R = 221


def gradients(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return {k: torch.randn(5, *s, generator=generator).to(dtype) for k, s in SHAPES.items()}


def side_by_side(parts):
    return torch.cat([x.reshape(len(x), -1) for x in parts.values()], dim=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sketch_scaled_as_trak_has_it(kind, dtype):
    projector = SketchProjector(R, M, seed=7, proj_type=kind)
    given = gradients(dtype)
    S = KINDS[kind](R, M, seed=7 + 3 * 2**32)
    expected = S.apply(side_by_side(given)) * M**0.5
    torch.testing.assert_close(projector.project(side_by_side(given), model_id=3), expected)
    torch.testing.assert_close(projector.project(given, 3), expected)
    projector.free_memory()


def test_checkpoints_and_seeds_have_sketches_of_their_own():
    given = gradients()
    made = [
        SketchProjector(R, M, seed).project(given, number)
        for seed, number in [(0, 0), (0, 1), (1, 0), (1, 1), (2**32 - 1, 2**32 - 1)]
    ]
    assert all(not torch.allclose(a, b) for i, a in enumerate(made) for b in made[:i])
    assert torch.equal(made[0], SketchProjector(R, M).project(given, model_id=0))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"proj_dim": R + 1}, ValueError, "out_dim: expected at most in_dim"),
        ({"proj_type": "rademacher"}, ValueError, "proj_type: expected one of 'sparse-sign'"),
        ({"seed": 2**32}, ValueError, "seed: expected an int in"),
        ({"seed": 0.5}, TypeError, "seed: expected an int in"),
        ({"n_threads": 0}, ValueError, "n_threads"),
    ],
)
def test_errors(arguments, error, said):
    with pytest.raises(error, match=said):
        SketchProjector(**{"grad_dim": R, "proj_dim": M, **arguments})


def test_errors_of_a_batch():
    projector = SketchProjector(R, M)
    with pytest.raises(ValueError, match="model_id: expected an int in"):
        projector.project(gradients(), -1)
    with pytest.raises(ValueError, match=rf"G: expected {R} columns"):
        projector.project({"weight": gradients()["weight"]}, 0)


@pytest.mark.filterwarnings("ignore")  # what TRAK warns of is its own
def test_trak_itself(tmp_path):
    trak = pytest.importorskip("trak")
    from trak.projectors import AbstractProjector, BasicProjector

    public = {name for name in vars(AbstractProjector) if not name.startswith("_")}
    assert public <= {name for name in dir(SketchProjector) if not name.startswith("_")}
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(D, 16), torch.nn.ReLU(), torch.nn.Linear(16, C)
    )
    r = sum(p.numel() for p in model.parameters())
    states = [{k: torch.randn_like(p) for k, p in model.state_dict().items()} for _ in range(2)]
    X, y = torch.randn(N, 1, 3, 4), torch.arange(N) % C
    traker = trak.TRAKer(
        model=model, task="image_classification", train_set_size=N, save_dir=tmp_path, device="cpu",
        projector=SketchProjector(r, M, n_threads=1), use_half_precision=False,
    )  # fmt: skip
    for number, state in enumerate(states):
        traker.load_checkpoint(state, model_id=number)
        for rows in (slice(0, 30), slice(30, N)):
            traker.featurize(batch=(X[rows], y[rows]), num_samples=len(X[rows]))
        grads = traker.gradient_computer.compute_per_sample_grad(batch=(X, y))
        flat = side_by_side(grads).detach() if isinstance(grads, dict) else grads
        S = skmm.SparseSign(r, M, seed=number << 32)
        expected = S.apply(flat.contiguous()) * M**0.5 / traker.normalize_factor
        stored = torch.as_tensor(np.array(traker.saver.current_store["grads"]))
        torch.testing.assert_close(stored, expected, rtol=1e-4, atol=1e-6)
        theirs = BasicProjector(r, M, 0, "rademacher", "cpu").project(flat, model_id=number)
        ours = expected * traker.normalize_factor
        assert ours.square().sum() == pytest.approx(float(theirs.square().sum()), rel=0.3)
    traker.finalize_features()
    for number, state in enumerate(states):
        traker.start_scoring_checkpoint("few", checkpoint=state, model_id=number, num_targets=T)
        traker.score(batch=(X[:T], y[:T]), num_samples=T)
    scores = traker.finalize_scores(exp_name="few")
    assert scores.shape == (N, T)
    assert np.isfinite(scores).all()
    assert (np.argmax(scores, axis=0) == np.arange(T)).mean() > 0.5  # a sample is its own cause
