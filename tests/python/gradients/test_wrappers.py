"""Models as training leaves them: wrapped for several processes, parametrized, made in inference
mode; models and losses that change what they are given."""

import copy

import pytest

torch = pytest.importorskip("torch")

from support.per_sample import LOSSES, assert_equals_the_loop, gradients, relative_error
from torch.nn.utils import parametrizations, parametrize

from skmm_fast import SketchStore
from skmm_fast.gradients import GradientSketcher, sketch_dataset

nn, F = torch.nn, torch.nn.functional
B, D, C = 6, 5, 3

NO_BATCHING_RULE = "ignore:There is a performance drop because we have not yet implemented"
X, Y = torch.randn(B, D, generator=torch.Generator().manual_seed(0)), torch.arange(B) % C


def net():
    return nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Linear(8, C)).eval()


@pytest.fixture(scope="module")
def process_group(tmp_path_factory):
    """One process, as torchrun with one makes it."""
    if not torch.distributed.is_gloo_available():
        pytest.skip("torch without gloo")
    where = tmp_path_factory.mktemp("group") / "store"
    torch.distributed.init_process_group("gloo", f"file://{where}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def wrapped(kind, model):
    return getattr(nn.parallel, kind)(model).eval()


@pytest.mark.parametrize("params", ["all", "last", "0.weight"])
@pytest.mark.parametrize("kind", ["DataParallel", "DistributedDataParallel"])
@pytest.mark.usefixtures("process_group")
def test_wrapped_models_are_sketched_and_trained(kind, params):
    plain = net()
    model = wrapped(kind, copy.deepcopy(plain))
    with pytest.warns(UserWarning, match=f"model: {kind} is taken off; .* without 'module.'") as w:
        sketcher = GradientSketcher(model, params=params, sketch_dim=8)
    assert w[0].filename == __file__
    expected = GradientSketcher(plain, params=params, sketch_dim=8)
    assert sketcher.names == expected.names
    for _ in range(2):
        assert torch.equal(sketcher((X, Y)), expected((X, Y)))
    assert sketcher.fingerprint() == expected.fingerprint()  # a store begun by one goes on
    for _ in range(2):  # steps of training
        F.cross_entropy(model.train()(X), Y).backward()
        F.cross_entropy(plain.train()(X), Y).backward()
    for p, q in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad)


@pytest.mark.usefixtures("process_group")
def test_wrappers_inside():
    model = nn.Sequential(wrapped("DistributedDataParallel", net()), nn.Linear(C, C)).eval()
    with pytest.raises(ValueError, match=r"model: expected no DistributedDataParallel .* as '0'"):
        GradientSketcher(model, sketch_dim=8)


def test_inference_mode():
    with torch.inference_mode():
        model, x = net(), X + 1
    with pytest.raises(
        ValueError, match=r"model: expected .* got '0.weight', made under .*inferen"
    ):
        GradientSketcher(model, sketch_dim=8)
    with torch.inference_mode():
        norm = nn.BatchNorm1d(D)
    mixed = nn.Sequential(nn.BatchNorm1d(D), nn.Linear(D, C)).eval()
    mixed[0].running_mean = norm.running_mean
    with pytest.raises(ValueError, match=r"model: expected .* got '0.running_mean'"):
        GradientSketcher(mixed, sketch_dim=8)
    assert x.is_inference()
    for method in ("auto", "vmap", "loop"):  # features, and a copy of the model as the error says
        assert_equals_the_loop(copy.deepcopy(model), X + 1, Y, sketch_dim=8, method=method)
        sketcher = GradientSketcher(copy.deepcopy(model), sketch_dim=8, method=method)
        assert torch.equal(sketcher((x, Y)), sketcher((X + 1, Y)))


class LowRank(nn.Module):
    """A parametrization with matrices of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.randn(C, 2)), nn.Parameter(torch.randn(2, 8))

    def forward(self, weight):
        return weight + self.a @ self.b


def low_rank(layer):
    parametrize.register_parametrization(layer, "weight", LowRank())
    return parametrize.register_parametrization(layer, "bias", nn.Softplus())


OF_THE_WEIGHT = {
    nn.utils.weight_norm: ["bias", "weight_g", "weight_v"],
    nn.utils.spectral_norm: ["bias", "weight_orig"],
    parametrizations.weight_norm: ["bias", "*.original0", "*.original1"],
    parametrizations.spectral_norm: ["bias", "*.original"],
    parametrizations.orthogonal: ["bias", "*.original"],
    low_rank: ["*.weight.original", "*.weight.0.a", "*.weight.0.b", "*.bias.original"],
}


@pytest.mark.filterwarnings(NO_BATCHING_RULE, "ignore:`torch.nn.utils.weight_norm`")
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize("how", OF_THE_WEIGHT, ids=lambda how: f"{how.__module__}.{how.__name__}")
def test_parametrized_layers_are_layers(how):
    """With their bias, and with nothing else."""
    model = net()
    model[2] = how(model[2])
    expected = {name.replace("*", "parametrizations.weight") for name in OF_THE_WEIGHT[how]}
    if how is low_rank:
        expected = {name.replace("weight.weight", "weight") for name in expected}
        expected = {name.replace("weight.bias", "bias") for name in expected}
    last = assert_equals_the_loop(model.eval(), X, Y, params="last", sketch_dim=8)
    assert set(last.names) == {f"2.{name}" for name in expected}
    both = assert_equals_the_loop(model, X, Y, params="last-2", sketch_dim=8)
    assert set(both.names) == {"0.weight", "0.bias", *last.names}
    model.append(nn.LayerNorm(C))  # after a parametrized layer
    model[0] = how(nn.Linear(D, 8)) if how is not low_rank else model[0]
    assert GradientSketcher(model.eval(), params="last", sketch_dim=8).names == last.names


class ChangesItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Linear(D, 8), nn.Linear(8, C)

    def forward(self, x, scale=None):
        x.sub_(0.5).div_(0.25)
        if scale is not None:
            scale.mul_(2)
            x = x * scale
        return self.head(torch.relu(self.inner(x)))


def changes_labels(output, y):
    y.copy_((y + 1) % C)
    return F.cross_entropy(output, y, reduction="none")


@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("scale", [None, torch.full((D,), 1.5)], ids=["", "shared"])
def test_models_and_losses_that_change_their_arguments(method, scale):
    """Each pass sees what the caller gave, and the caller's tensors stay."""
    model = ChangesItsInput().eval()
    inputs = (X,) if scale is None else (X, scale)
    before = copy.deepcopy((*inputs, Y))
    rows = []
    for i in range(B):
        x, y, *shared = copy.deepcopy((X[i : i + 1], Y[i : i + 1], *inputs[1:]))
        loss = changes_labels(model(x, *shared), y)
        rows.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*model.parameters()])])
        )
    sketcher = GradientSketcher(
        model, params="all", sketch_dim=16, method=method, loss=changes_labels
    )
    expected = torch.from_numpy(sketcher.sketch.apply(torch.stack(rows).numpy()))
    for _ in range(2):
        assert relative_error(sketcher((*inputs, Y)), expected) < 1e-5
    assert all(map(torch.equal, (*inputs, Y), before))


class MasksItsTokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, D), nn.Linear(D, 9)

    def forward(self, input_ids):
        input_ids[input_ids > 5] = 0
        return self.head(self.table(input_ids))


def test_tokens_that_are_labels_too():
    """Labels are the tokens as they were given."""
    tokens = torch.randint(0, 9, (B, 4))
    sketcher = GradientSketcher(
        MasksItsTokens().eval(), params="all", loss="causal-lm", sketch_dim=8
    )
    Z = sketcher({"input_ids": tokens.clone()})
    G = gradients(
        sketcher.model,
        sketcher.names,
        LOSSES["causal-lm"],
        {"input_ids": tokens.clone()},
        tokens.clone(),
    )
    assert relative_error(Z, torch.from_numpy(sketcher.sketch.apply(G.numpy()))) < 1e-5


class Shared(nn.Module):
    """Has a layer under two names, and uses its weight once more."""

    def __init__(self):
        super().__init__()
        layer = nn.Linear(D, D)
        self.first, self.second = nn.ModuleList([layer]), nn.ModuleList([layer])
        self.head = nn.Linear(D, C)

    def forward(self, x):
        return self.head(torch.tanh(self.second[0](self.first[0](x))) @ self.first[0].weight)


@pytest.mark.filterwarnings("ignore:check. expected gradients of layers by their formulas")
@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
def test_models_keep_their_parameters(method):
    """The very tensors, also in a layer with two names: an optimizer holds them."""
    model = Shared().eval()
    held = dict(model.named_parameters(remove_duplicate=False))
    for _ in range(2):
        assert_equals_the_loop(model, X, Y, method=method, sketch_dim=16)
        left = dict(model.named_parameters(remove_duplicate=False))
        assert left.keys() == held.keys()
        assert all(p is held[name] for name, p in left.items())


class TwoHeads(nn.Module):
    """Each batch is of one task, which has a head of its own."""

    def __init__(self, functional=False):
        super().__init__()
        self.body = nn.Linear(D, 6)
        self.heads = nn.ModuleList(nn.Linear(6, C) for _ in range(2))
        self.functional = functional

    def forward(self, x, task):
        h, head = torch.tanh(self.body(x)), self.heads[int(task[0])]
        return F.linear(h, head.weight, head.bias) if self.functional else head(h)


N, LATE = 24, 17  # the first row of the second task


class Tasks(torch.utils.data.Dataset):
    def __len__(self):
        return N

    def __getitem__(self, i):
        x = torch.randn(D, generator=torch.Generator().manual_seed(i))
        return x, torch.tensor(int(i >= LATE // 4 * 4)), torch.tensor(i % C)


@pytest.mark.filterwarnings(r"ignore:vmap\(grad\) fails for this model")
@pytest.mark.filterwarnings("ignore:check. expected gradients of layers by their formulas")
@pytest.mark.parametrize("functional", [False, True])
def test_heads_that_are_used_late_in_a_data_set(functional, tmp_path):
    """They need no other options, and what was finished before stays."""
    model = TwoHeads(functional).eval()
    options = {"batch_size": 4, "shard_rows": 8, "progress": False}
    sketcher = GradientSketcher(model, params="all", sketch_dim=16)
    Z = sketch_dataset(sketcher, Tasks(), tmp_path / "once", **options).array()
    loader = torch.utils.data.DataLoader(Tasks(), batch_size=4)
    for i, (x, task, y) in enumerate(loader):
        G = gradients(model, sketcher.names, lambda o, y: F.cross_entropy(o, y), (x, task), y)
        expected = torch.from_numpy(sketcher.sketch.apply(G.numpy()))
        assert relative_error(torch.from_numpy(Z[4 * i : 4 * i + 4].copy()), expected) < 1e-5
    # The same bytes from a run that is stopped before the second head, and from later shards alone.
    store = SketchStore(tmp_path / "once")
    last = store._file(2).read_bytes()
    for removed in ([2], [0, 2]):
        for shard in removed:
            store._file(shard).unlink()
        again = GradientSketcher(model, params="all", sketch_dim=16)
        sketch_dataset(again, Tasks(), tmp_path / "once", **options)
        assert store._file(2).read_bytes() == last


@pytest.mark.usefixtures("process_group")
def test_sharded_models():
    """They are refused, with words that lead to the same weights in a model that is taken."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import distribute_tensor

    mesh = init_device_mesh("cpu", (1,))
    plain, sharded, part, split = net(), net(), net(), net()
    sharded.load_state_dict(plain.state_dict())
    for module in (sharded[0], sharded, part[2]):
        fully_shard(module, mesh=mesh)
    split[0].weight = nn.Parameter(distribute_tensor(split[0].weight.detach(), mesh))
    named = [(sharded, "the model"), (part, "2"), (split, "0.weight")]
    for model, name in named:
        with pytest.raises(ValueError, match=f"model: expected whole .*'{name}' sharded, .*; load"):
            GradientSketcher(model, params="all", sketch_dim=8)
    sharded(X)  # its own parameters are whole after a call
    with pytest.raises(ValueError, match="model: expected whole parameters in each process"):
        GradientSketcher(sharded, params="2.*", sketch_dim=8)
    whole, options = net(), StateDictOptions(full_state_dict=True)
    whole.load_state_dict(get_model_state_dict(sharded, options=options))
    expected = GradientSketcher(plain, params="all", sketch_dim=8)((X, Y))
    assert torch.equal(GradientSketcher(whole, params="all", sketch_dim=8)((X, Y)), expected)
