"""Random small models, batches and losses: every sketch is that of the plain loop, or is refused.

`SKMM_EXAMPLES=2000` draws more of them than the suite does.
"""

import os
import warnings

import pytest

torch = pytest.importorskip("torch")

from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrizations

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional
D, C = 4, 3
EXAMPLES = int(os.environ.get("SKMM_EXAMPLES", "50"))


class RMSNormOfPositions(nn.Module):
    """Its name is that of a layer with a formula, which does not hold for it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(D) + 0.5)

    def forward(self, x):
        return x * x.square().mean(1, keepdim=True).add(0.1).rsqrt() * self.weight


class Fused(nn.Module):
    """Experts with one parameter, for tokens (n · T, D) of all samples."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, D, D))

    def forward(self, tokens, to):
        out = torch.zeros_like(tokens)
        for k in to.unique():
            rows = (to == k).nonzero()[:, 0]
            out = out.index_add(0, rows, torch.tanh(tokens[rows] @ self.weight[k]))
        return out


class Part(nn.Module):
    """A step of a model, h (n, T, D) -> (n, T, D), with layers that it may share with others.

    Data choose the rows: `key` (n, T) are random bits of the samples, `of_sample` (n,) their first.
    """

    def __init__(self, how, layers):
        super().__init__()
        self.how, self.layer, self.other = how, *layers
        self.norm = {
            "layer norm": lambda: nn.LayerNorm(D),
            "batch norm": lambda: nn.BatchNorm1d(D),
            "group norm": lambda: nn.GroupNorm(2, D),
            "rms norm": lambda: nn.RMSNorm(D),
            "norm by name": RMSNormOfPositions,
            "convolution": lambda: nn.Conv1d(D, D, 3, padding=1),
            "positions": lambda: nn.Embedding(8, D),
            "one row": lambda: nn.Embedding(1, D),
            "weight norm": lambda: parametrizations.weight_norm(nn.Linear(D, D)),
            "attention": lambda: nn.MultiheadAttention(D, 2, batch_first=True),
            "attention of positions first": lambda: nn.MultiheadAttention(D, 2),
            "attention of all": lambda: nn.MultiheadAttention(D, 2),
            "fused": Fused,
            "recurrent": lambda: nn.GRU(D, D, batch_first=True),
        }.get(how, nn.Identity)()
        self.query = nn.Parameter(torch.randn(1, D)) if "query" in how else None

    def forward(self, h, key):
        return getattr(self, "_" + self.how.replace(" ", "_"), self._normed)(h, key)

    def _normed(self, h, key):
        return self.norm(h)

    def _batch_norm(self, h, key):
        return self.norm(h.transpose(1, 2)).transpose(1, 2)

    _group_norm = _convolution = _batch_norm

    def _linear(self, h, key):
        return torch.tanh(self.layer(h))

    def _twice(self, h, key):
        return self.layer(torch.tanh(self.layer(h)))

    def _in_place(self, h, key):
        return self.layer(h).mul_(0.5).add_(h).relu_()

    def _flat(self, h, key):
        return self.layer(h.flatten(0, 1)).view_as(h)

    def _functional(self, h, key):
        return h + torch.tanh(h @ self.layer.weight)

    def _positions(self, h, key):
        return h + self.norm(torch.arange(h.shape[1]))

    def _one_row(self, h, key):
        return h * self.norm(torch.zeros(1, dtype=torch.int64))

    def _query_by_index(self, h, key):
        return h * self.layer(self.query)[0]

    def _query_summed(self, h, key):
        return h + self.layer(self.query).sum(0)

    def _recurrent(self, h, key):
        return self.norm(h)[0]

    def _attention(self, h, key):
        out, weights = self.norm(
            h, h, h, key_padding_mask=(key > 0) & (key < 1).any(1, keepdim=True)
        )
        return h + out * weights.sum(2, keepdim=True)

    def _attention_of_positions_first(self, h, key):
        h = h.transpose(0, 1)
        return self.layer(h + self.norm(h, h, h)[0]).transpose(0, 1)

    def _attention_of_all(self, h, key):
        return h + self.norm(h, h, h)[0]

    def _fused(self, h, key):
        return self.norm(h.flatten(0, 1), key.flatten()).view_as(h)

    def _positions_first(self, h, key):
        return torch.tanh(self.layer(h.transpose(0, 1))).transpose(0, 1)

    def _in_place_after(self, h, key):
        out = self.layer(torch.tanh(h))
        h += out
        return h

    def _sorted(self, h, key):
        order = key[:, 0].sort(stable=True).indices
        return torch.tanh(self.layer(h[order]))[order.argsort()]

    def _sorted_by_select(self, h, key):
        order = key.sum(1).sort(stable=True).indices
        sorted_h = torch.index_select(self.layer(h), 0, order)
        return torch.empty_like(h).index_copy(0, order, torch.tanh(self.other(sorted_h)))

    def _reversed(self, h, key):
        return torch.tanh(self.layer(h.flip(0))).flip(0)

    def _masked(self, h, key):
        kept = key > 0
        return h.index_put((kept,), torch.tanh(self.layer(h[kept])))

    def _experts(self, h, key):
        tokens, out = h.flatten(0, 1), torch.zeros(h.shape[0] * h.shape[1], D, dtype=h.dtype)
        for k, expert in enumerate((self.layer, self.other)):
            rows = (key.flatten() == k).nonzero()[:, 0]
            if len(rows):  # an expert may be used late
                out = out.index_add(0, rows, torch.tanh(expert(tokens[rows])))
        return out.view_as(h)

    def _samples_apart(self, h, key):
        layers = [(self.layer, self.other)[int(k)] for k in key[:, 0]]
        return torch.cat([layer(x[None]) for layer, x in zip(layers, h, strict=True)])

    def _heads_of_tasks(self, h, key):
        where = key[:, :1, None] > 0
        return torch.where(where, self.layer(h), self.other(h))

    def _late(self, h, key):
        needs = key[:, :1, None] > 0
        return torch.where(needs, self.layer(h), h) if needs.any() else h

    def _mean_of_batch(self, h, key):
        return h - h.mean(0)


HOWS = [name[1:].replace("_", " ") for name in vars(Part) if name[1:2] != "_" and name[0] == "_"]
HOWS += ["layer norm", "rms norm", "norm by name", "weight norm"]
HOWS.remove("normed")


class Model(nn.Module):
    def __init__(self, parts, n_layers, shares, tied, changes_input):
        super().__init__()
        layers = [nn.Linear(D, D) for _ in range(n_layers)]
        if tied:
            layers[-1].weight = layers[0].weight
        self.parts = nn.ModuleList(
            Part(how, [layers[i % n_layers] for i in share])
            for how, share in zip(parts, shares, strict=True)
        )
        self.head, self.changes_input = nn.Linear(D, C), changes_input

    def forward(self, x, key):
        if self.changes_input:
            x.mul_(2)
            key.neg_().add_(1)
        for part in self.parts:
            x = part(x, key)
        return self.head(x.mean(1))


def cross_entropy(output, y):
    """0 for samples that are labelled -1."""
    return F.cross_entropy(output, y.clamp(min=0), reduction="none") * (y >= 0)


def hinge(output, y):
    right = output.gather(1, y.clamp(min=0)[:, None])
    return (0.5 + output - right).clamp(min=0).sum(1) * (y >= 0)


def changes_labels(output, y):
    y.add_(y >= 0).clamp_(max=C - 1)
    return cross_entropy(output, y)


@st.composite
def models(draw):
    parts = draw(st.lists(st.sampled_from(HOWS), min_size=1, max_size=4))
    share = st.tuples(st.integers(0, 3), st.integers(0, 3))
    shares = [draw(share) for _ in parts]
    torch.manual_seed(draw(st.integers(0, 99)))
    n_layers = draw(st.integers(1, 4))
    model = Model(parts, n_layers, shares, draw(st.booleans()), draw(st.booleans()))
    return model.double().eval(), parts


@st.composite
def batches(draw):
    """x (n, T, D), bits (n, T), labels (n,); the first samples may have no loss."""
    n, T = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    x = torch.randn(n, T, D, dtype=torch.float64)
    bit = st.sampled_from(draw(st.sampled_from([(0,), (1,), (0, 1)])))
    key = torch.tensor(draw(st.lists(bit, min_size=n * T, max_size=n * T))).view(n, T)
    if draw(st.booleans()):  # n of the tokens, in order of the samples
        key = torch.zeros_like(key)
        key[:, draw(st.integers(0, T - 1))] = 1
    y = torch.randint(0, C, (n,))
    y[: draw(st.sampled_from([0, 0, 2, n]))] = -1
    return x, key, y


def by_loop(model, names, loss, batch):
    """(n, r) One backward pass a sample, nothing of the package."""
    named = dict(model.named_parameters())
    rows = []
    for i in range(len(batch[0])):
        x, key, y = (part[i : i + 1].clone() for part in batch)
        value = loss(model(x, key), y).sum()
        grads = torch.autograd.grad(value, [named[name] for name in names], allow_unused=True)
        rows.append(
            torch.cat(
                [
                    torch.zeros_like(named[name]).flatten() if g is None else g.flatten()
                    for name, g in zip(names, grads, strict=True)
                ]
            )
        )
    return torch.stack(rows)


@settings(
    max_examples=EXAMPLES,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=list(HealthCheck),
)
@given(
    models(),
    st.lists(batches(), min_size=1, max_size=3),
    st.sampled_from([cross_entropy, hinge, changes_labels]),
    st.sampled_from([None, 1, 2, 3]),
    st.sampled_from(["all", "last", "last-2"]),
    st.sampled_from([1, 2, 3]),
)
def test_equal_to_the_loop_or_refused(drawn, some_batches, loss, micro_batch, params, check):
    model, parts = drawn
    options = {"params": params, "loss": loss, "micro_batch": micro_batch, "check": check}
    sketcher = GradientSketcher(model, sketch_dim=12, sketch="gaussian", **options)
    held = dict(model.named_parameters(remove_duplicate=False))
    for batch in some_batches:
        before = [part.clone() for part in batch]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = None
            try:
                Z = sketcher(batch)
            except ValueError as error:
                said = str(error)
        assert all(map(torch.equal, batch, before))
        left = dict(model.named_parameters(remove_duplicate=False))
        assert left.keys() == held.keys()
        assert all(p is held[name] and p.grad is None for name, p in left.items())
        if said is not None:
            assert said.split(":")[0] in ("model", "check", "loss", "params")
            event(f"refused, {'mean of batch' in parts}: {said[:40]}")
            return
        G = by_loop(model, sketcher.names, loss, batch)
        expected = torch.from_numpy(sketcher.sketch.apply(G.numpy()))
        error, norm = (Z - expected).norm(dim=1), expected.norm(dim=1)
        assert (error <= 1e-5 * norm + 1e-7 * norm.max()).all(), sketcher.methods
        event("equal, " + ", ".join(sorted(set(sketcher.methods.values()))))
