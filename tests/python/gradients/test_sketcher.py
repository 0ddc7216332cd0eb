"""Per-sample gradients against the loop."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from skmm_fast._support import tensors
from skmm_fast.gradients import GradientSketcher, losses

nn = torch.nn


def model(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10), nn.Tanh(), nn.Linear(10, 4)
    ).eval()


torch.manual_seed(1)
X, Y = torch.randn(37, 1, 6, 6), torch.randint(0, 4, (37,))


def loop(net, names, loss, inputs=X):
    """(B, r) gradients, one sample at a time."""
    params = [dict(net.named_parameters())[name] for name in names]
    rows = []
    for x, y in zip(inputs, Y, strict=True):
        value = loss(net(x[None]), y[None])
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, params)]))
    return torch.stack(rows)


NAMES = {
    "last": ["5.weight", "5.bias"],
    "last-2": ["3.weight", "3.bias", "5.weight", "5.bias"],
    "all": ["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias"],
}


@pytest.mark.parametrize("params", NAMES)
@pytest.mark.parametrize("sketch", ["sparse-sign", "gaussian"])
def test_equals_the_loop(params, sketch):
    net = model()
    sketcher = GradientSketcher(
        net, params=params, sketch_dim=24, sketch=sketch, seed=3, micro_batch=8
    )
    G = loop(net, NAMES[params], nn.functional.cross_entropy)
    assert sketcher.n_params == G.shape[1]
    expected = sketcher.sketch.apply(G.numpy())
    np.testing.assert_allclose(sketcher((X, Y)).numpy(), expected, rtol=1e-4, atol=1e-5)
    for micro_batch in (1, 100):
        other = GradientSketcher(
            net, params=params, sketch_dim=24, sketch=sketch, seed=3, micro_batch=micro_batch
        )
        np.testing.assert_allclose(other((X, Y)).numpy(), expected, rtol=1e-4, atol=1e-5)


class Everything(nn.Module):
    """An embedding, a layer with positions, a norm, and a head of one vector a sample."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.embed, self.inner = nn.Embedding(9, 6, padding_idx=0), nn.Linear(6, 5)
        self.norm, self.head = nn.LayerNorm(5), nn.Linear(5, 4)

    def forward(self, tokens):
        return self.head(self.norm(self.inner(self.embed(tokens))).tanh().mean(1))


@pytest.mark.parametrize("sketch", ["sparse-sign", "grouped-sign", "gaussian"])
def test_sketches_where_the_gradients_are(sketch, monkeypatch):
    """What runs on a GPU, here on the CPU: the same sketches in plain torch."""
    tokens = torch.randint(0, 9, (37, 7))
    here = GradientSketcher(Everything().eval(), params="all", sketch_dim=24, sketch=sketch)(
        (tokens, Y)
    )
    monkeypatch.setattr(tensors, "on_device", lambda x: True)
    there = GradientSketcher(Everything().eval(), params="all", sketch_dim=24, sketch=sketch)
    np.testing.assert_allclose(there((tokens, Y)).numpy(), here.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("sketch", ["sparse-sign", "grouped-sign", "gaussian"])
@pytest.mark.parametrize("targets", ["label", "random"])
def test_cuda_equals_the_cpu(sketch, targets):
    tokens, ids = torch.randint(0, 9, (37, 7)), np.arange(37)
    options = {"sketch_dim": 24, "sketch": sketch, "targets": targets}
    here = GradientSketcher(Everything().eval(), params="all", **options)((tokens, Y), ids)
    there = GradientSketcher(Everything().eval().cuda(), params="all", **options)((tokens, Y), ids)
    assert there.is_cuda
    np.testing.assert_allclose(there.cpu().numpy(), here.numpy(), rtol=1e-3, atol=1e-5)


def test_mse():
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).eval()
    targets = torch.randn(37, 2)
    sketcher = GradientSketcher(net, params="all", loss="mse", sketch_dim=16)
    params = list(net.parameters())
    rows = []
    for x, y in zip(X, targets, strict=True):
        g = torch.autograd.grad(((net(x[None])[0] - y) ** 2).mean(), params)
        rows.append(torch.cat([p.reshape(-1) for p in g]))
    expected = sketcher.sketch.apply(torch.stack(rows).numpy())
    np.testing.assert_allclose(sketcher((X, targets)).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_double_models():
    net = model().double()
    sketcher = GradientSketcher(net, sketch_dim=16)
    Z = sketcher((X.double(), Y))
    G = loop(net, NAMES["last-2"], nn.functional.cross_entropy, X.double())
    np.testing.assert_allclose(Z.numpy(), sketcher.sketch.apply(G.numpy()), rtol=1e-9, atol=1e-12)


def test_choices_of_parameters():
    net = model()
    assert GradientSketcher(net, params="trainable", sketch_dim=4).names == NAMES["all"]
    for p in net[0].parameters():
        p.requires_grad_(False)
    assert GradientSketcher(net, params="trainable", sketch_dim=4).names == NAMES["last-2"]
    assert GradientSketcher(net, params=["5.bias", "3.*"], sketch_dim=4).names == [
        "3.weight",
        "3.bias",
        "5.bias",
    ]
    assert GradientSketcher(net, params=lambda name, p: p.ndim == 1, sketch_dim=4).names == [
        "0.bias",
        "3.bias",
        "5.bias",
    ]
    sketched = GradientSketcher(net, params="all", sketch_dim=4)(
        (X, Y)
    )  # frozen ones too, when asked for
    assert sketched.shape == (37, 4)


def test_random_targets_are_keyed_by_sample():
    net = model()
    sketcher = GradientSketcher(net, targets="random", sketch_dim=16, seed=5)
    ids = np.arange(100, 137)
    Z = sketcher((X, Y), ids)
    assert torch.equal(sketcher((X, Y * 0), ids), Z)  # labels are not looked at
    order = np.random.default_rng(0).permutation(37)
    np.testing.assert_allclose(
        sketcher((X[order], Y[order]), ids[order]), Z[order], rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(sketcher((X, Y), ids + 1), Z)
    # and follow the model's predictive distribution
    many = X[:1].repeat(20000, 1, 1, 1)
    drawn = losses.CrossEntropy().targets(net(many), None, "random", np.arange(20000), 5)
    expected = torch.softmax(net(X[:1]), 1)[0].detach().numpy()
    np.testing.assert_allclose(
        np.bincount(drawn.numpy(), minlength=4) / 20000, expected, atol=0.015
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"params": "5.wait"},
            ValueError,
            "params: expected names or patterns .*5.weight.* got '5.wait'",
        ),
        ({"params": 3}, TypeError, "params: expected names"),
        ({"params": []}, ValueError, "params: expected at least one parameter"),
        ({"params": lambda name, p: False}, ValueError, "params: expected at least one"),
        ({"loss": "hinge"}, ValueError, "loss: .* got 'hinge'"),
        ({"targets": "true"}, ValueError, "targets: .* got 'true'"),
        (
            {"loss": "mse", "targets": "uniform"},
            ValueError,
            "targets: expected 'label' or 'random' with loss='mse'",
        ),
        (
            {"params": "last", "sketch_dim": 45},
            ValueError,
            "sketch_dim: .* 44, got 45",
        ),
        ({"micro_batch": 0}, ValueError, "micro_batch: .* got 0"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        GradientSketcher(model(), **{"sketch_dim": 8, **arguments})


def test_bad_models_and_batches():
    with pytest.raises(TypeError, match=r"model: expected a torch.nn.Module"):
        GradientSketcher(lambda x: x)
    with pytest.raises(ValueError, match="model: expected eval mode"):
        GradientSketcher(model().train())
    with pytest.raises(
        TypeError, match="model: expected parameters of float32, float64 or bfloat16"
    ):
        GradientSketcher(model().half())
    sketcher = GradientSketcher(model(), sketch_dim=8, micro_batch=2)
    nan = X.clone()
    nan[5, 0, 0, 0] = torch.nan
    for batch, error, message in (
        ((X, Y[:3]), ValueError, r"batch: expected labels .* \(37\), got 3"),
        ((X, Y.numpy()), ValueError, "batch: expected labels as a tensor.* got ndarray"),
        ((X, Y.float()), TypeError, r"batch: expected labels \(B,\) of int64"),
        ((X, Y - 100), ValueError, r"batch: expected labels in \[0, 3\], got -100"),
        ((X, Y + 1), ValueError, r"batch: expected labels in \[0, 3\], got 1 to 4"),
        (
            (nan, Y),
            ValueError,
            "batch: expected finite gradients, got NaN or Inf first in sample 5",
        ),
        ((X[:0], Y[:0]), ValueError, "batch: expected inputs"),
        ((X.double(), Y), ValueError, "batch: expected inputs that the model takes"),
        ((X[..., :5], Y), ValueError, "batch: expected inputs that the model takes"),
        (X, TypeError, r"batch: expected \(inputs, labels\) or a dict, got Tensor"),
    ):
        with pytest.raises(error, match=message):
            sketcher(batch)
    mse = GradientSketcher(model(), loss="mse", sketch_dim=8)
    with pytest.raises(ValueError, match="batch: expected labels of the model's output shape"):
        mse((X, torch.randn(37)))
    sketcher.model[4].train()
    with pytest.raises(ValueError, match="model: expected eval mode, got training mode in 4"):
        sketcher((X, Y))
    random = GradientSketcher(model(), sketch_dim=8, targets="random")
    with pytest.raises(ValueError, match="sample_ids: expected ids"):
        random((X, Y))
    assert random((X, None), np.arange(37)).shape == (37, 8)
    with pytest.raises(ValueError, match=r"batch: expected finite gradients.* first in sample 5"):
        random((nan, None), np.arange(37))
    with pytest.raises(ValueError, match="sample_ids: expected 37 integers"):
        random((X, Y), np.arange(36))
