"""Whatever the layout of rows inside a model, sketches are those of single samples: batches are
proven, and where a formula fails a slower method comes in."""

import pytest

torch = pytest.importorskip("torch")

from support.per_sample import LOSSES, assert_equals_the_loop, gradients, relative_error
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from skmm_fast.gradients import GradientSketcher, checked_pass
from skmm_fast.gradients.backward_pass import BackwardPass
from skmm_fast.gradients.row_order import may_move_rows

nn, F = torch.nn, torch.nn.functional
B, T, D, C, V = 6, 4, 5, 3, 11

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:vmap\(grad\) fails for this model"),
    pytest.mark.filterwarnings("ignore:check. expected gradients of layers by their formulas"),
    pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet"),
]


def cross_entropy(output, y):
    return F.cross_entropy(output, y)


def rows_are_right(sketcher, inputs, labels, loss=cross_entropy):
    """Whether a batch, of a sketcher that may have seen others, equals the loop."""
    Z = sketcher((inputs, labels))
    G = gradients(sketcher.model, sketcher.names, loss, inputs, labels)
    expected = torch.from_numpy(sketcher.sketch.apply(G.numpy()))
    zero = expected.norm(dim=1) == 0
    assert not Z[zero].any()
    return relative_error(Z[~zero], expected[~zero]) < 1e-4


class TiedHead(nn.Module):
    """The embedding is the head too, but not as a layer."""

    def __init__(self):
        super().__init__()
        self.table, self.inner = nn.Embedding(V, D), nn.Linear(D, D)

    def forward(self, tokens):
        return F.linear(torch.tanh(self.inner(self.table(tokens))), self.table.weight)


@pytest.mark.parametrize("silent", [0, 2, 5])
def test_first_samples_without_gradients(silent):
    """Samples without a labelled token prove nothing; others of the batch do."""
    tokens = torch.randint(0, V, (B, T))
    labels = tokens.clone()
    labels[:silent] = -100
    sketcher = GradientSketcher(TiedHead().eval(), params="all", loss="causal-lm", sketch_dim=16)
    assert rows_are_right(sketcher, tokens, labels, LOSSES["causal-lm"])
    assert sketcher.methods["table.weight"] == "vmap"


def test_first_batches_without_gradients():
    tokens = torch.randint(0, V, (B, T))
    sketcher = GradientSketcher(TiedHead().eval(), params="all", loss="causal-lm", sketch_dim=16)
    for _ in range(3):
        assert not sketcher((tokens, torch.full_like(tokens, -100))).any()
    assert sketcher.methods["table.weight"] == "hooks"
    assert rows_are_right(sketcher, tokens, tokens, LOSSES["causal-lm"])
    assert sketcher.methods["table.weight"] == "vmap"


def hinge(output, y):
    """0, and without a gradient, where the class is clearly right."""
    right = output.gather(1, y[:, None])
    wrong = output.scatter(1, y[:, None], -1e9).amax(1, keepdim=True)
    return (1 + wrong - right).clamp(min=0)[:, 0]


class Rescaled(nn.Module):
    """Uses a layer's weight once more, where its units are alive."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D, C)

    def forward(self, x):
        h = torch.relu(self.inner(x))
        return self.head(h + h @ self.inner.weight)


@pytest.mark.parametrize("how", ["hinge", "dead units"])
def test_losses_and_units_that_are_dead_at_first(how):
    net, loss = Rescaled().eval(), hinge if how == "hinge" else "cross-entropy"
    x = torch.randn(B, D)
    if how == "hinge":
        with torch.no_grad():
            net.head.weight.mul_(100)
            easy, y = x, net(x).argmax(1)
        later = x, (y + 1) % C
    else:
        with torch.no_grad():
            net.inner.weight.abs_()
        easy, y = -x.abs() - 3, torch.arange(B) % C
        later = x.abs(), y
    sketcher = GradientSketcher(net, params=["inner.*"], loss=loss, sketch_dim=16)
    assert not sketcher((easy, y)).any()
    assert sketcher.methods["inner.weight"] == "hooks"
    assert rows_are_right(sketcher, *later, hinge if how == "hinge" else cross_entropy)
    assert sketcher.methods["inner.weight"] == "vmap"


class SortsByLength(nn.Module):
    """Reads a packed batch, the longest first, and gives it back in order."""

    def __init__(self, enforce):
        super().__init__()
        self.table, self.inner = nn.Embedding(V, D), nn.Linear(D, D)
        self.reader, self.head = nn.GRU(D, D, batch_first=True), nn.Linear(D, C)
        self.reader.requires_grad_(False)
        self.enforce = enforce

    def forward(self, tokens, lengths):
        order = lengths.argsort(descending=True, stable=True) if self.enforce else ...
        h = torch.tanh(self.inner(self.table(tokens[order])))
        packed = pack_padded_sequence(
            h, lengths[order], batch_first=True, enforce_sorted=self.enforce
        )
        h = pad_packed_sequence(self.reader(packed)[0], batch_first=True)[0].sum(1)
        return self.head(h[order.argsort()] if self.enforce else h)


@pytest.mark.parametrize("enforce", [True, False])
def test_batches_that_are_sorted_inside(enforce):
    """A first batch of equal lengths stays in order, later ones of the same shapes do not."""
    tokens, y = torch.randint(0, V, (B, T)), torch.arange(B) % C
    equal, other = torch.full((B,), T), torch.tensor([2, 4, 1, 4, 3, 4])
    net = SortsByLength(enforce).eval()
    sketcher = GradientSketcher(net, params="trainable", sketch_dim=16)
    assert rows_are_right(sketcher, (tokens, equal), y)
    assert set(sketcher.methods.values()) == {"hooks"}
    assert rows_are_right(sketcher, (tokens, other), y)
    assert rows_are_right(sketcher, (tokens, equal), y)
    assert (sketcher.methods["inner.weight"] == "loop") == enforce
    assert_equals_the_loop(
        net, (tokens, other), y, params="trainable", sketch_dim=16
    )  # as the first batch


class Permuted(nn.Module):
    """Turns the batch round inside, and back."""

    def __init__(self, back=True):
        super().__init__()
        self.inner, self.head, self.back = nn.Linear(D, D), nn.Linear(D, C), back

    def forward(self, x):
        h = torch.tanh(self.inner(x.flip(0)))
        return self.head(h.flip(0) if self.back else h)


def test_batches_that_are_turned_round_inside():
    x, y = torch.randn(B, D), torch.arange(B) % C
    methods = assert_equals_the_loop(Permuted().eval(), x, y, sketch_dim=8).methods
    assert methods["inner.weight"] == "vmap"
    assert methods["head.weight"] == "hooks"
    with pytest.raises(ValueError, match=r"check: .* by 'hooks' .* the loop finds"):
        GradientSketcher(Permuted().eval(), params="all", sketch_dim=8, method="hooks")((x, y))
    with pytest.raises(ValueError, match=r"model: .* not depend on the others .* sample 0"):
        GradientSketcher(Permuted(back=False).eval(), params="all", sketch_dim=8)((x, y))


def centred(labelled):
    """A loss of the samples among `labelled` alone, of outputs less their mean over the batch."""

    def loss(output, y):
        each = F.cross_entropy(output - output.mean(0), y, reduction="none")
        return each * torch.isin(y, labelled)

    return loss


@pytest.mark.parametrize("batches", [1, 2])
def test_samples_that_depend_on_others_behind_silent_ones(batches):
    """The first samples have no gradient, alone or together: others are compared then."""
    net, x, y = nn.Linear(D, C).eval(), torch.randn(B, D), torch.tensor([0, 0, 0, 0, 1, 2])
    sketcher = GradientSketcher(net, params="all", loss=centred(torch.tensor([1, 2])), sketch_dim=8)
    for _ in range(batches - 1):
        assert not sketcher((x, torch.zeros_like(y))).any()
    with pytest.raises(ValueError, match=r"check: .* by 'loop'|model: .* depend on the others"):
        sketcher((x, y))
    mixed = nn.Sequential(Centre(), nn.Linear(D, C)).eval()
    sketcher = GradientSketcher(mixed, params="all", loss=silent_first, sketch_dim=8)
    for _ in range(batches - 1):
        assert not sketcher((x, y * 0)).any()
    with pytest.raises(ValueError, match=r"model: .* depend on the others .* sample [45] off"):
        sketcher((x, y))


class Centre(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


def silent_first(output, y):
    return F.cross_entropy(output, y, reduction="none") * (y > 0)


class Experts(nn.Module):
    """Every token goes to the expert that its first entry names."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D, C)
        self.experts = nn.ModuleList(nn.Linear(D, D) for _ in range(2))

    def forward(self, x):
        tokens, to = self.inner(x).flatten(0, 1), (x[..., 0] > 0).long().flatten()
        out = torch.zeros_like(tokens)
        for k, expert in enumerate(self.experts):
            rows = (to == k).nonzero()[:, 0]
            out = out.index_add(0, rows, torch.tanh(expert(tokens[rows])))
        return self.head(out.view_as(x).mean(1))


def to_experts(*counts):
    """Inputs (n, 2, D) of which sample i sends counts[i] tokens to the second expert."""
    x = torch.randn(len(counts), 2, D)
    x[..., 0] = -1
    for i, count in enumerate(counts):
        x[i, :count, 0] = 1
    return x


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ((2, 0, 1, 1), (1, 1, 1, 1)),  # n tokens each, but not one of each sample
        ((1, 1, 1, 1), (2, 0, 1, 1)),  # one of each sample, then the same number of others
        ((1, 1, 1, 1), (2, 2, 2, 0)),
        ((0, 0, 0, 0), (1, 1, 1, 2)),  # an expert that is used late
        ((2, 2, 2, 2), (0, 0, 0, 1)),
    ],
)
def test_experts_that_get_as_many_tokens_as_samples(first, later):
    y = torch.arange(4) % C
    sketcher = GradientSketcher(Experts().eval(), params="all", sketch_dim=16)
    for counts in (first, later, first):
        assert rows_are_right(sketcher, to_experts(*counts), y)
    assert sketcher.methods["inner.weight"] == sketcher.methods["head.weight"] == "hooks"


class MaskedPositions(nn.Module):
    """Its layer sees the positions that a mask keeps, whatever sample they are of."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D, C)

    def forward(self, x, mask):
        h = x.new_zeros(x.shape).index_put((mask,), torch.tanh(self.inner(x[mask])))
        return self.head(h.sum(1))


def test_as_many_masked_positions_as_samples():
    x, y = torch.randn(B, T, D), torch.arange(B) % C
    mask = torch.zeros(B, T, dtype=torch.bool)
    mask[:, 0] = True
    moved = mask.clone()
    moved[0], moved[1] = torch.tensor([1, 1, 0, 0]).bool(), False
    for batches in ((mask, moved), (moved, mask)):
        sketcher = GradientSketcher(MaskedPositions().eval(), params="all", sketch_dim=16)
        for each in batches:
            assert rows_are_right(sketcher, (x, each), y)


class Places(nn.Module):
    """A table of positions that serves all samples, of as many rows as there may be samples."""

    def __init__(self):
        super().__init__()
        self.inner, self.table, self.head = nn.Linear(D, D), nn.Embedding(9, D), nn.Linear(D, C)

    def forward(self, x):
        h = torch.tanh(self.inner(x) + self.table(torch.arange(x.shape[1])))
        return self.head(h.mean(1))


@pytest.mark.parametrize("lengths", [(2,), (B,), (3, 2), (3, B), (B, 3)])
def test_as_many_positions_as_samples(lengths):
    sketcher = GradientSketcher(Places().eval(), params="all", sketch_dim=16)
    for length in lengths:
        assert rows_are_right(sketcher, torch.randn(B, length, D), torch.arange(B) % C)
    assert sketcher.methods["inner.weight"] == "hooks"
    assert sketcher.methods["table.weight"] == "vmap"


class Query(nn.Module):
    """A learned query goes through a layer of its own; `take` gives one row of it."""

    def __init__(self, take):
        super().__init__()
        self.query, self.take = nn.Parameter(torch.randn(1, D)), take
        self.project, self.inner, self.head = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, C)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(x)) * self.take(self.project(self.query)))


@pytest.mark.parametrize(
    "take", [lambda q: q[0], lambda q: q.sum(0), lambda q: q.mean(0, keepdim=True), lambda q: q]
)
def test_learned_queries(take):
    x, y = torch.randn(B, D), torch.arange(B) % C
    assert_equals_the_loop(Query(take).eval(), x, y)


class RMSNorm2d(nn.Module):
    """Over channels that come first."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(D) + 0.5)

    def forward(self, x):
        scale = (x.square().mean(1, keepdim=True) + 1e-6).rsqrt()
        return x * scale * self.weight[:, None, None]


@pytest.mark.parametrize("size", [D, 3])  # as many rows as channels, too
def test_normalisation_that_only_has_the_name(size):
    net = nn.Sequential(
        nn.Conv2d(1, D, 1), RMSNorm2d(), nn.ReLU(), nn.Flatten(), nn.Linear(D * size**2, C)
    )
    x, y = torch.randn(B, 1, size, size), torch.arange(B) % C
    with pytest.warns(UserWarning, match=r"check: .* got 1.weight .* through vmap\(grad\)"):
        methods = assert_equals_the_loop(net.eval(), x, y).methods
    assert [name for name, how in methods.items() if how != "hooks"] == ["1.weight"]


class Forces(nn.Module):
    """The output is a gradient itself."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            return -torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]


def test_outputs_that_are_gradients():
    methods = assert_equals_the_loop(
        Forces().eval(), torch.randn(B, D), torch.randn(B, D), loss="mse"
    ).methods
    assert methods["energy.0.weight"] == "loop"


def count_proofs(monkeypatch):
    """The numbers of samples of the proofs so far, in a list that grows."""
    sizes, weighted = [], BackwardPass.weighted

    def counted(self, samples, ids, names, w):
        if (w != 0).all():
            sizes.append(samples.size)
        return weighted(self, samples, ids, names, w)

    monkeypatch.setattr(BackwardPass, "weighted", counted)
    return sizes


def test_which_batches_are_proven(monkeypatch):
    proofs = count_proofs(monkeypatch)
    monkeypatch.setattr(checked_pass, "FREE_PROOFS", 3)
    sketcher = GradientSketcher(Places().eval(), params="all", sketch_dim=16, micro_batch=B)

    def proofs_of(*shape):
        del proofs[:]
        sketcher((torch.randn(*shape, D), torch.zeros(shape[0], dtype=torch.int64)))
        return proofs[:]

    assert proofs_of(2 * B, 3) == [B, B]  # the first batch, whole
    assert proofs_of(B, 3) == []
    sketcher._restart()  # a new shard
    assert proofs_of(B, 3) == [B]
    assert proofs_of(B, 3) == []
    assert proofs_of(B, 4) == []  # three were free
    assert proofs_of(B, B) == [B]  # as many positions as samples: another kind of shape
    assert proofs_of(B, 1) == [B]
    assert proofs_of(4, 3) == []
    sketcher.forget()
    assert proofs_of(B, 3) == [B]
    for length in (4, 5):
        assert proofs_of(B, length) == [B]  # new shapes
        assert proofs_of(B, length) == []
    for method, check in (("loop", 2), ("auto", 0)):
        sketcher = GradientSketcher(
            Places().eval(), params="all", sketch_dim=16, method=method, check=check
        )
        assert proofs_of(B, 3) == []


def test_methods_of_a_shard_do_not_depend_on_those_before():
    """After `_restart` what the first batch settled holds again."""
    y = torch.arange(4) % C
    sketcher = GradientSketcher(Experts().eval(), params="all", sketch_dim=16)
    sketcher((to_experts(1, 1, 1, 1), y))
    first, stored = sketcher.methods, sketcher.fingerprint()["methods"]
    later = to_experts(2, 0, 1, 1)
    Z = sketcher((later, y))
    assert sketcher.methods != first
    assert sketcher.fingerprint()["methods"] == stored
    sketcher._restart()
    assert sketcher.methods == first
    assert torch.equal(sketcher((later, y)), Z)


ROW = torch.arange(B)
MOVE = ROW.flip(0)


@pytest.mark.parametrize(
    ("function", "moves"),
    [
        (lambda x: x[MOVE], True),
        (lambda x: x[ROW], False),
        (lambda x: x[ROW, MOVE % D][:, None], False),
        (lambda x: x[MOVE, MOVE % D][:, None], True),
        (lambda x: x[:, MOVE % D], False),
        (lambda x: x[x[:, 0] > -9], True),
        (lambda x: x.index_select(0, MOVE), True),
        (lambda x: x.index_select(1, MOVE % D), False),
        (lambda x: x.gather(1, MOVE[:, None] % D), False),
        (lambda x: x.gather(-1, MOVE[:, None] % D), False),
        (lambda x: x.gather(0, MOVE[:, None]), True),
        (lambda x: x.sort(0)[0], True),
        (lambda x: x.sort(1)[0], False),
        (lambda x: torch.zeros(B, D).index_add(0, MOVE, x), True),
        (lambda x: torch.zeros(B, D).index_put((MOVE,), x), True),
        (lambda x: torch.zeros(B, D).index_put((ROW,), x), False),
        (lambda x: x.masked_select(x > -9).view(B, D), True),
        (lambda x: torch.stack([x[i] for i in MOVE.tolist()]), True),
        (lambda x: torch.stack(list(x)), True),
        (lambda x: F.embedding(MOVE, x), True),
        (lambda x: x.tanh().where(x > 0, -x), False),
        (lambda x: x.view(B, D, 1)[:, :3], False),
    ],
)
def test_graphs_that_move_rows(function, moves):
    x = torch.randn(B, D, requires_grad=True) * 1
    losses = function(x).flatten(1).sum(1)
    assert may_move_rows(losses) is moves
