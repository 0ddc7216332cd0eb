"""What comes in with a batch: entries of the samples, and what belongs to all of them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.per_sample import gradients

from skmm_fast import SketchStore, SparseSign
from skmm_fast._support import tensors
from skmm_fast.gradients import GradientSketcher, sketch_dataset

nn, F = torch.nn, torch.nn.functional


class Scaled(nn.Module):
    """`scale` (3,) belongs to all samples."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.shift, self.head = nn.Parameter(torch.randn(3)), nn.Linear(3, 4)

    def forward(self, x, scale):
        return self.head(torch.tanh(x * scale + self.shift))


X, Y, SCALE = torch.randn(11, 3), torch.arange(11) % 4, torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("micro_batch", [None, 3])
def test_a_shared_tensor_as_long_as_a_later_batch(method, micro_batch):
    net = Scaled().eval()
    sketcher = GradientSketcher(
        net, params="all", sketch_dim=8, method=method, micro_batch=micro_batch
    )
    Z = torch.cat([sketcher(((X[rows], SCALE), Y[rows])) for rows in (slice(8), slice(8, 11))])
    bound = type("Bound", (nn.Module,), {"forward": lambda self, x: self.net(x, SCALE)})()
    bound.net = net
    alone = GradientSketcher(bound.eval(), params="all", sketch_dim=8, method="loop")((X, Y))
    np.testing.assert_allclose(Z.numpy(), alone.numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"one entry for each of 5 samples in input 0, .*\(4, 3\)"):
        sketcher(((X[:4], torch.ones(5, 3)), Y[:5]))


def test_the_batch_is_as_long_as_its_labels():
    class Looked(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3, 4)

        def forward(self, table, x):
            return self.head(x + table.sum(0))

    net, table = Looked().eval(), torch.randn(2, 3)
    batch = {"table": table, "x": X, "labels": Y}
    Z = GradientSketcher(net, params="all", sketch_dim=8)(batch)
    expected = GradientSketcher(net.head, params="all", sketch_dim=8)((X + table.sum(0), Y))
    np.testing.assert_allclose(Z.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="batch: expected 'labels' or 'label', got both"):
        GradientSketcher(net, params="all", sketch_dim=8)({**batch, "label": Y})


class Words(nn.Module):
    """Each token sees itself and, where a token is there, the one before."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(9, 6), nn.Linear(6, 9)

    def forward(self, input_ids, attention_mask):
        h = self.embed(input_ids) * attention_mask[..., None]
        return self.head(torch.tanh(h + F.pad(h, (0, 0, 1, 0))[:, :-1]))


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_says_nothing(side):
    ids, zeros = torch.randint(1, 9, (4, 5)), torch.zeros(4, 2, dtype=torch.int64)
    one, order = torch.ones_like(ids), slice(None, None, -1 if side == "right" else 1)
    padded = {
        "input_ids": torch.cat([zeros, ids][order], 1),
        "attention_mask": torch.cat([zeros, one][order], 1),
    }
    plain = {"input_ids": ids, "attention_mask": one}
    Z, expected = (
        GradientSketcher(Words().eval(), params="all", loss="causal-lm", sketch_dim=8)(batch)
        for batch in (padded, plain)
    )
    np.testing.assert_allclose(Z.numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_hooks_of_the_user_come_after_the_layer():
    net = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 4)).eval()
    net[0].register_forward_hook(lambda module, args, out: torch.tanh(out))
    sketcher = GradientSketcher(net, params="all", sketch_dim=8)
    G = gradients(net, sketcher.names, F.cross_entropy, X, Y)
    expected = sketcher.sketch.apply(G.numpy())
    np.testing.assert_allclose(sketcher((X, Y)).numpy(), expected, rtol=1e-4, atol=1e-6)
    assert set(sketcher.methods.values()) == {"hooks"}


def test_autocast_inside_the_model():
    class Mixed(nn.Sequential):
        def forward(self, x):
            with torch.autocast("cpu", torch.bfloat16):
                return super().forward(x)

    net = Mixed(nn.Linear(3, 64), nn.GELU(), nn.Linear(64, 4)).eval()
    Z = GradientSketcher(net, params="all", sketch_dim=64)((X, Y))
    net32 = nn.Sequential(*net).eval()
    expected = GradientSketcher(net32, params="all", sketch_dim=64)((X, Y))
    assert Z.dtype == torch.float32
    assert (Z - expected).norm() < 0.05 * expected.norm()


def test_outputs_that_lose_their_batch():
    class Squeezed(nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    with pytest.raises(ValueError, match=r"model: expected outputs .* \(1,\), got \(\)"):
        GradientSketcher(Squeezed(3, 1).eval(), params="all", loss="mse", sketch_dim=2)(
            (X, Y.float())
        )


class Called(nn.Module):
    """Calls its layer for samples (B, 1, 3), and uses its weight for longer ones."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.head = nn.Linear(3, 5), nn.Linear(5, 4)

    def forward(self, x):
        layer = self.inner
        h = layer(x) if x.shape[1] == 1 else F.linear(x, layer.weight, layer.bias)
        return self.head(torch.tanh(h).mean(1))


def ragged(samples):
    """Batches of samples of their longest length."""
    x, y = zip(*samples, strict=True)
    return torch.stack([torch.cat([a] * max(map(len, x)))[: max(map(len, x))] for a in x]), (
        torch.tensor(y)
    )


def test_a_run_goes_on_with_what_its_first_batch_settled(tmp_path):
    """The batch at which it goes on has samples of length 1, where other methods would do."""
    torch.manual_seed(0)
    data = [(torch.randn(1 if 8 <= i < 16 else 3, 3), i % 4) for i in range(24)]
    loader = torch.utils.data.DataLoader(data, batch_size=8, collate_fn=ragged)
    sizes = {"shard_rows": 8, "progress": False}
    sketcher = GradientSketcher(Called().eval(), params="all", sketch_dim=8)
    whole = sketch_dataset(sketcher, loader, tmp_path / "whole", **sizes)
    assert sketcher.methods["inner.weight"] == "vmap"
    for k in (1, 2):
        (tmp_path / "whole" / f"shard-0000{k}.npy").rename(tmp_path / f"{k}.npy")
    sketcher = GradientSketcher(Called().eval(), params="all", sketch_dim=8)
    sketcher(ragged(data[8:16]))  # settles something else
    again = sketch_dataset(sketcher, loader, tmp_path / "whole", **sizes)
    assert isinstance(whole, SketchStore)
    for k in (1, 2):
        stored = (again.path / f"shard-0000{k}.npy").read_bytes()
        assert stored == (tmp_path / f"{k}.npy").read_bytes()


def test_numpy_integers_are_integers(tmp_path):
    sketcher = GradientSketcher(
        nn.Linear(3, 4).eval(), params="all", sketch_dim=np.int64(8), seed=np.int64(3)
    )
    data = torch.utils.data.TensorDataset(X, Y)
    store = sketch_dataset(sketcher, data, tmp_path / "s", progress=False)
    assert store.fingerprint["seed"] == 3


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_apply_where_the_tensor_is(kind, monkeypatch):
    """What `apply` does with a CUDA tensor, here on the CPU."""
    G, S = torch.randn(9, 40).to(getattr(torch, kind)), SparseSign(40, 16)
    expected = S.apply(G)
    monkeypatch.setattr(tensors, "on_device", tensors.is_torch)
    np.testing.assert_allclose(S.apply(G).numpy(), expected.numpy(), rtol=1e-4, atol=1e-6)
    out = torch.ones(9, 16)
    assert S.apply(G[:, :30], out=out, accumulate=True) is out
    S.apply(G[:, 30:].contiguous(), out=out, col_offset=30, accumulate=True)
    np.testing.assert_allclose(out.numpy() - 1, expected.numpy(), rtol=1e-3, atol=1e-5)
    G[4, 7] = torch.nan
    with pytest.raises(
        ValueError, match="G: expected finite values, got NaN or Inf in 1 of 9 rows"
    ):
        S.apply(G)
    for bad, message in ((torch.ones(9, 15), "out: expected a tensor"), (None, "out: expected an")):
        with pytest.raises(ValueError, match=message):
            S.apply(G, out=bad, accumulate=True)
