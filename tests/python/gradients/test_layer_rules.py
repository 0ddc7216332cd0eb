"""Layers by themselves, in small nets: sketches equal those of the loop, and by which method."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from support.per_sample import assert_equals_the_loop, gradients, relative_error
from torch.nn.utils import prune

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional
B, T, D, V = 5, 6, 4, 7  # samples, positions, channels, rows of embeddings

# of torch
NO_BATCHING_RULE = "ignore:There is a performance drop because we have not yet implemented"
UNEVEN_PADDING = "ignore:Using padding='same' with even kernel lengths"


class Net(nn.Module):
    """front, the layer, a nonlinearity, head."""

    def __init__(self, layer, x, front=None, in_place=False):
        super().__init__()
        self.front, self.layer, self.in_place = front, layer, in_place
        self.eval()
        with torch.no_grad():
            features = self.features(x).shape[1]
        self.head = nn.Linear(features, 3).eval()

    def features(self, x):
        h = self.layer(x if self.front is None else self.front(x))
        h = h[0] if isinstance(h, tuple) else h
        h = h.relu_() if self.in_place else torch.tanh(h)
        return h.flatten(1)

    def forward(self, x):
        return self.head(self.features(x))


def filled(layer):
    """With parameters and buffers that are not those of a new layer."""
    for p in layer.parameters():
        nn.init.normal_(p, 0.3, 0.7)
    for name, b in layer.named_buffers():
        if b.is_floating_point():
            b.copy_(torch.rand_like(b) + (0.5 if "var" in name else 0))
    return layer


def numbers(*shape):
    return torch.randn(B, *shape)


def tokens(*shape):
    ids = torch.randint(0, V, (B, *shape))
    ids[0] = 2  # one row many times
    return ids


class LlamaNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(D))

    def normed(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)

    def forward(self, x):
        return self.weight * self.normed(x)


class LlamaRMSNorm(LlamaNorm):
    pass


class T5LayerNorm(LlamaNorm):
    pass


class GemmaRMSNorm(LlamaNorm):
    def forward(self, x):
        return (1 + self.weight) * self.normed(x)


class Conv1D(nn.Module):
    """As in transformers: the weight is (in, out)."""

    def __init__(self, nf, nx):
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight, self.bias = nn.Parameter(torch.randn(nx, nf)), nn.Parameter(torch.randn(nf))

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, self.nx), self.weight).view(*x.shape[:-1], self.nf)


def zero(layer):
    nn.init.zeros_(layer.weight)
    return layer


def image():
    return numbers(D, 6, 5)


# name: (layer, input, whether another layer comes before)
BY_HOOKS = {
    "linear": lambda: (nn.Linear(D, 6), numbers(D), True),
    "linear of sequences": lambda: (nn.Linear(D, 6), numbers(T, D), True),
    "linear of images": lambda: (nn.Linear(D, 6), numbers(2, 3, D), True),
    "linear without bias": lambda: (nn.Linear(D, 6, bias=False), numbers(T, D), True),
    "linear of one position": lambda: (nn.Linear(D, 6), numbers(1, D), True),
    "linear at the input": lambda: (nn.Linear(D, 6), numbers(T, D), False),
    "Conv1D of transformers": lambda: (Conv1D(6, D), numbers(T, D), True),
    "conv1d": lambda: (nn.Conv1d(T, 3, 3, stride=2, padding=2, dilation=2), numbers(T, D), True),
    "conv1d, same": lambda: (nn.Conv1d(T, 4, 2, padding="same", groups=2), numbers(T, D), True),
    "conv2d": lambda: (nn.Conv2d(D, 6, 3), image(), True),
    "conv2d, not square": lambda: (nn.Conv2d(D, 6, (3, 2), (2, 1), (1, 2), (1, 2)), image(), True),
    "conv2d, groups": lambda: (nn.Conv2d(D, 6, 3, groups=2, bias=False), image(), True),
    "conv2d, depthwise": lambda: (nn.Conv2d(D, 2 * D, 3, groups=D, padding=1), image(), True),
    "conv2d, 1 x 1": lambda: (nn.Conv2d(D, 6, 1, stride=2), image(), True),
    "conv2d, same": lambda: (nn.Conv2d(D, 3, (2, 4), padding="same"), image(), True),
    "conv2d, circular": lambda: (
        nn.Conv2d(D, 3, 3, padding=(1, 2), padding_mode="circular"),
        image(),
        True,
    ),
    "conv2d, reflect": lambda: (
        nn.Conv2d(D, 3, 3, padding=2, padding_mode="reflect"),
        image(),
        True,
    ),
    "conv2d, replicate and same": lambda: (
        nn.Conv2d(D, 3, 4, padding="same", padding_mode="replicate"),
        image(),
        True,
    ),
    "embedding": lambda: (nn.Embedding(V, D), tokens(T), False),
    "embedding of one token": lambda: (nn.Embedding(V, D), tokens(), False),
    "embedding of tables": lambda: (nn.Embedding(V, D), tokens(2, 3), False),
    "embedding with padding": lambda: (nn.Embedding(V, D, padding_idx=3), tokens(T), False),
    "embedding, sparse": lambda: (nn.Embedding(V, D, sparse=True), tokens(T), False),
    "embedding of int32": lambda: (nn.Embedding(V, D), tokens(T).int(), False),
    "bag, sum": lambda: (nn.EmbeddingBag(V, D, mode="sum"), tokens(T), False),
    "bag, mean": lambda: (nn.EmbeddingBag(V, D), tokens(T), False),
    "bag, sparse": lambda: (nn.EmbeddingBag(V, D, mode="sum", sparse=True), tokens(T), False),
    "bag, mean of padding alone": lambda: (nn.EmbeddingBag(V, D, padding_idx=2), tokens(1), False),
    "bag, mean with padding": lambda: (nn.EmbeddingBag(V, D, padding_idx=2), tokens(T), False),
    "layer norm": lambda: (nn.LayerNorm(D), numbers(T, D), True),
    "layer norm of two dimensions": lambda: (nn.LayerNorm((T, D)), numbers(T, D), True),
    "layer norm without bias": lambda: (nn.LayerNorm(D, bias=False), numbers(D), True),
    "layer norm at the input": lambda: (nn.LayerNorm(D), numbers(T, D), False),
    "RMS norm": lambda: (nn.RMSNorm(D), numbers(T, D), True),
    "RMS norm of two dimensions": lambda: (nn.RMSNorm((T, D)), numbers(T, D), True),
    "RMS norm, weight 0": lambda: (zero(nn.RMSNorm(D)), numbers(T, D), False),
    "RMS norm of Llama": lambda: (LlamaRMSNorm(), numbers(T, D), True),
    "RMS norm of Gemma": lambda: (GemmaRMSNorm(), numbers(T, D), True),
    "RMS norm of Gemma, weight 0": lambda: (zero(GemmaRMSNorm()), numbers(T, D), True),
    "norm of T5": lambda: (T5LayerNorm(), numbers(T, D), True),
    "group norm": lambda: (nn.GroupNorm(2, T), numbers(T, D), True),
    "group norm of images": lambda: (nn.GroupNorm(2, D), image(), True),
    "batch norm": lambda: (nn.BatchNorm1d(D), numbers(D), True),
    "batch norm of sequences": lambda: (nn.BatchNorm1d(T), numbers(T, D), True),
    "batch norm of images": lambda: (nn.BatchNorm2d(D), image(), True),
    "batch norm of volumes": lambda: (nn.BatchNorm3d(D), numbers(D, 2, 3, 2), False),
}

OTHERS = {
    "bag, max": lambda: (nn.EmbeddingBag(V, D, mode="max"), tokens(T), False),
    "transposed convolution": lambda: (nn.ConvTranspose2d(D, 2, 3), image(), True),
    "conv3d": lambda: (nn.Conv3d(D, 2, 2), numbers(D, 2, 3, 2), False),
    "instance norm": lambda: (nn.InstanceNorm2d(D, affine=True), image(), True),
    "PReLU": lambda: (nn.PReLU(D), image(), True),
}

RECURRENT = {
    "LSTM": lambda: (nn.LSTM(D, 3, 2, batch_first=True, bidirectional=True), numbers(T, D), True),
    "GRU": lambda: (nn.GRU(D, 3, batch_first=True), numbers(T, D), True),
}


def net_of(make, seed=0, dtype=torch.float32, in_place=False):
    torch.manual_seed(seed)
    layer, x, has_front = make()
    zero_weight = getattr(layer, "weight", None) is not None and not layer.weight.any()
    layer = zero(filled(layer)) if zero_weight else filled(layer)
    channels_first = x.ndim > 3 and x.shape[1] == D and not isinstance(layer, nn.Linear)
    front = (nn.Conv2d(D, D, 1) if channels_first else nn.Linear(D, D)) if has_front else None
    net = Net(layer, x, front, in_place).to(dtype)
    return net, x.to(dtype) if x.is_floating_point() else x, torch.randint(0, 3, (B,))


@pytest.mark.filterwarnings(UNEVEN_PADDING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", BY_HOOKS)
def test_layers_with_formulas(name, dtype):
    sketcher = assert_equals_the_loop(*net_of(BY_HOOKS[name], dtype=dtype))
    assert set(sketcher.methods.values()) == {"hooks"}


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", OTHERS)
def test_layers_without_formulas(name, dtype):
    sketcher = assert_equals_the_loop(*net_of(OTHERS[name], dtype=dtype))
    found = sketcher.methods
    assert all((how == "vmap layer") == name.startswith("layer.") for name, how in found.items())


@pytest.mark.filterwarnings(NO_BATCHING_RULE, r"ignore:vmap\(grad\) fails for this model")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers(name, dtype):
    """vmap can do some of them."""
    sketcher = assert_equals_the_loop(*net_of(RECURRENT[name], dtype=dtype))
    assert sketcher.methods["layer.weight_hh_l0"] in ("vmap layer", "loop layer")
    assert sketcher.methods["front.weight"] == "hooks"


@pytest.mark.filterwarnings(UNEVEN_PADDING)
@pytest.mark.parametrize("name", [name for name in BY_HOOKS if name != "RMS norm, weight 0"])
def test_outputs_changed_in_place(name):
    sketcher = assert_equals_the_loop(*net_of(BY_HOOKS[name], seed=1, in_place=True))
    assert set(sketcher.methods.values()) == {"hooks"}


class InParts(nn.Module):
    """Parts of a layer's output are changed in place, after all of it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(D, D), nn.Linear(D, D)

    def forward(self, x):
        h = self.a(x)
        h.mul_(2)
        h[:, :2] = torch.tanh(h[:, 2:4])
        h[..., 1] *= 3
        h = self.b(h)
        return h.flatten(1).sigmoid_()[:, :3]


def test_parts_of_outputs_changed_in_place():
    torch.manual_seed(0)
    sketcher = assert_equals_the_loop(InParts().eval(), numbers(T, D), torch.arange(B) % 3)
    assert set(sketcher.methods.values()) == {"hooks"}


@pytest.mark.filterwarnings(UNEVEN_PADDING)
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_convolutions(data):
    draw = data.draw
    ndim = draw(st.sampled_from([1, 2]))
    groups = draw(st.integers(1, 3))
    c_in, c_out = (groups * draw(st.integers(1, 2)) for _ in range(2))
    sizes = [draw(st.integers(1, 7)) for _ in range(ndim)]
    kernel, dilation, stride = (
        [draw(st.integers(1, most)) for _ in range(ndim)] for most in (3, 2, 3)
    )
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    padding = draw(st.sampled_from(["same", "valid", None]))
    if padding == "same":
        stride = [1] * ndim
        pads = [d * (k - 1) - d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    elif padding is None:
        padding = pads = [draw(st.integers(0, 3)) for _ in range(ndim)]
    else:
        pads = [0] * ndim
    for size, k, d, p in zip(sizes, kernel, dilation, pads, strict=True):
        assume(size + 2 * p >= d * (k - 1) + 1)
        assume(p < size if mode == "reflect" else p <= size)
    torch.manual_seed(0)
    conv = (nn.Conv1d, nn.Conv2d)[ndim - 1](
        c_in,
        c_out,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias=draw(st.booleans()),
        padding_mode=mode,
    )
    x = torch.randn(3, c_in, *sizes, dtype=torch.float64)
    net = Net(conv.double(), x).double()
    sketcher = assert_equals_the_loop(net, x, torch.arange(3), sketch_dim=4)
    assert set(sketcher.methods.values()) == {"hooks"}


@pytest.mark.parametrize(
    "layer", ["linear of sequences", "conv2d, groups", "Conv1D of transformers"]
)
@pytest.mark.parametrize("chunk", [1, 100, 400, 1500])
def test_gradients_in_chunks(layer, chunk, monkeypatch):
    monkeypatch.setattr("skmm_fast.gradients.sketch_accumulator.CHUNK_BYTES", chunk)
    assert_equals_the_loop(*net_of(BY_HOOKS[layer]))


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
def test_vmap_in_chunks(monkeypatch):
    monkeypatch.setattr("skmm_fast.gradients.functional.VMAP_BYTES", 1000)
    assert_equals_the_loop(*net_of(OTHERS["PReLU"]), method="vmap")


class WeightedBag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(V, D, mode="sum"), nn.Linear(D, 3)

    def forward(self, ids, weights):
        return self.head(self.bag(ids, per_sample_weights=weights))


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
def test_bags_with_weights():
    torch.manual_seed(0)
    sketcher = assert_equals_the_loop(
        WeightedBag().eval(), (tokens(T), torch.rand(B, T)), torch.arange(B) % 3
    )
    assert sketcher.methods["bag.weight"] == "vmap bag"


def test_bags_of_one_long_list():
    """A sample is an entry of every tensor: bags cut out of a list by offsets are none."""

    class Bags(nn.Module):
        def __init__(self):
            super().__init__()
            self.bag = nn.EmbeddingBag(V, 3)

        def forward(self, ids, offsets):
            return self.bag(ids, offsets)

    sketcher = GradientSketcher(Bags().eval(), params="all", sketch_dim=4)
    with pytest.raises(ValueError, match=r"batch: expected inputs that the model takes: offsets"):
        sketcher((torch.arange(9) % V, torch.tensor([0, 2, 5]), torch.arange(3)))


class Tied(nn.Module):
    """A layer called twice, one weight in three layers, one of them frozen."""

    def __init__(self):
        super().__init__()
        self.wte, self.twice = nn.Embedding(V, D), nn.Linear(D, D)
        self.norm = nn.LayerNorm(D)
        self.head, self.other = nn.Linear(D, V, bias=False), nn.Linear(D, V)
        self.head.weight = self.other.weight = self.wte.weight

    def forward(self, ids):
        h = self.wte(ids)
        h = self.norm(self.twice(torch.tanh(self.twice(self.norm(h))))).mean(1)
        return self.head(h) + self.other(h * h)


def test_layers_called_twice_and_tied_weights():
    torch.manual_seed(0)
    sketcher = assert_equals_the_loop(Tied().eval(), tokens(T), torch.arange(B))
    assert set(sketcher.methods.values()) == {"hooks"}
    assert "head.weight" not in sketcher.names
    assert "other.bias" in sketcher.names


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.a, self.head, self.reentrant = nn.Linear(D, D), nn.Linear(D, 3), reentrant
        self.b = nn.Sequential(
            nn.Linear(D, D), nn.LayerNorm(D), nn.ReLU(inplace=True), nn.Linear(D, D)
        )

    def forward(self, x):
        h = torch.tanh(self.a(x))
        h = torch.utils.checkpoint.checkpoint(self.b, h, use_reentrant=self.reentrant)
        return self.head(h)


def of_reentrant(net, x, y):
    """As `gradients`, by backward(): reentrant checkpoints refuse torch.autograd.grad."""
    rows = []
    for i in range(len(y)):
        net.zero_grad()
        F.cross_entropy(net(x[i : i + 1]), y[i : i + 1]).backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    net.zero_grad()
    return torch.stack(rows)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")
@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("method", ["auto", "loop"])
def test_checkpoints(reentrant, method):
    torch.manual_seed(0)
    net, x, y = Checkpointed(reentrant).eval(), numbers(D), torch.arange(B) % 3
    sketcher = GradientSketcher(net, params="all", sketch_dim=16, method=method)
    Z = sketcher((x, y))
    assert set(sketcher.methods.values()) == {"hooks" if method == "auto" else "loop"}
    expected = torch.from_numpy(sketcher.sketch.apply(of_reentrant(net, x, y).numpy()))
    assert relative_error(Z, expected) < 1e-5


def test_checkpoints_of_a_part():
    torch.manual_seed(0)
    net, x, y = Checkpointed(False).eval(), numbers(D), torch.arange(B) % 3
    for params in (["b.*"], ["b.3.*", "head.bias"], "last-2"):
        assert_equals_the_loop(net, x, y, params=params, sketch_dim=3)


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Linear(D, D), nn.Linear(D, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.a(x)) @ self.a.weight)


def test_weights_used_outside_of_their_layer():
    torch.manual_seed(0)
    net, x, y = Functional().eval(), numbers(D), torch.arange(B) % 3
    with pytest.raises(ValueError, match=r"check: .* 'hooks' .* got 'a.weight' off by .* the loop"):
        GradientSketcher(net, params="all", sketch_dim=8, method="hooks")((x, y))
    with pytest.warns(UserWarning, match=r"check: .*formulas, got a.weight off .* through vmap"):
        methods = assert_equals_the_loop(net, x, y, sketch_dim=8).methods
    assert methods == {
        "a.weight": "vmap",
        "a.bias": "hooks",
        "head.weight": "hooks",
        "head.bias": "hooks",
    }
    for method in ("vmap", "loop"):
        assert_equals_the_loop(net, x, y, method=method)
    assert_equals_the_loop(net, x, y, params=["a.bias", "head.*"], sketch_dim=8)


def parametrized(how):
    layer = nn.Linear(D, D)
    if how == "weight norm":
        return nn.utils.parametrizations.weight_norm(layer)
    if how == "orthogonal":
        return nn.utils.parametrizations.orthogonal(layer, orthogonal_map="cayley")
    if how == "spectral norm":
        return nn.utils.parametrizations.spectral_norm(layer)
    if how == "pruned":
        return prune.l1_unstructured(layer, "weight", 5)
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(layer)


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize(
    "how", ["weight norm", "old weight norm", "spectral norm", "orthogonal", "pruned"]
)
def test_parametrized_weights(how):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(D, D), nn.Tanh(), parametrized(how), nn.Tanh(), nn.Linear(D, 3))
    sketcher = assert_equals_the_loop(net.eval(), numbers(T, D).mean(1), torch.arange(B) % 3)
    methods = sketcher.methods
    assert methods["0.weight"] == methods["4.weight"] == "hooks"
    assert "vmap 2" in methods.values()


class Attention(nn.Module):
    def __init__(self, batch_first, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(D, 2, batch_first=batch_first, **options)
        self.head, self.batch_first = nn.Linear(D, 3), batch_first

    def forward(self, x):
        x = x if self.batch_first else x.transpose(0, 1)
        out = self.attention(x, x, x)[0].mean(1 if self.batch_first else 0)
        return self.head(out)


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"add_bias_kv": True}, {"vdim": D}])
def test_attention(batch_first, options):
    torch.manual_seed(0)
    net = Attention(batch_first, **options).eval()
    sketcher = assert_equals_the_loop(net, numbers(T, D), torch.arange(B) % 3)
    assert sketcher.methods["attention.out_proj.weight"] == "vmap attention"  # not called
    assert sketcher.methods["head.weight"] == "hooks"


class Positions(nn.Module):
    """A class token, and positions (T, D) or (1, T, D), as a parameter or an embedding."""

    def __init__(self, how):
        super().__init__()
        self.how, self.cls = how, nn.Parameter(torch.randn(1, 1, D))
        if how.startswith("parameter"):
            shape = (1, T + 1, D) if "1" in how else (T + 1, D)
            self.positions = nn.Parameter(torch.randn(shape))
        else:
            self.positions = nn.Embedding(T + 1, D)
        self.proj, self.head = nn.Linear(D, D), nn.Linear(D, 3)
        self.spare = nn.Linear(D, D)  # unused

    def forward(self, x):
        n = len(x)
        x = torch.cat([self.cls.expand(n, -1, -1), x], 1)
        if self.how.startswith("parameter"):
            p = self.positions
        elif self.how == "embedding (T, D)":
            p = self.positions(torch.arange(T + 1))
        else:
            p = self.positions(torch.arange(T + 1)[None])
            if self.how == "embedding, expanded":
                p = p.expand(n, -1, -1)
            elif self.how == "embedding, repeated":
                p = p.repeat(n, 1, 1)
        return self.head(torch.tanh(self.proj(x + p)).mean(1))


@pytest.mark.parametrize(
    ("how", "method"),
    [
        ("parameter (T, D)", "vmap"),
        ("parameter (1, T, D)", "vmap"),
        ("embedding (T, D)", "vmap"),
        ("embedding (1, T, D)", "hooks"),
        ("embedding, expanded", "hooks"),
        ("embedding, repeated", "vmap"),
    ],
)
@pytest.mark.parametrize("micro_batch", [1, 3, T + 1])  # also as many samples as positions
def test_positions_class_tokens_and_unused_parameters(how, method, micro_batch):
    torch.manual_seed(0)
    net, n = Positions(how).eval(), T + 1
    x, y = torch.randn(n, T, D), torch.arange(n) % 3
    methods = assert_equals_the_loop(net, x, y, micro_batch=micro_batch).methods
    assert methods["cls"] == "vmap"
    assert methods["positions" if "parameter" in how else "positions.weight"] == method
    assert methods["spare.weight"] == methods["spare.bias"] == "none"
    assert methods["proj.weight"] == "hooks"


def test_frozen_parameters():
    torch.manual_seed(0)
    net, x, y = net_of(BY_HOOKS["conv2d"])
    net.layer.requires_grad_(False)
    net.head.bias.requires_grad_(False)
    sketcher = assert_equals_the_loop(net, x, y, params="trainable", sketch_dim=16)
    assert sketcher.names == ["front.weight", "front.bias", "head.weight"]
    assert_equals_the_loop(net, x, y, params=["layer.*"], sketch_dim=16)
    assert_equals_the_loop(net, x, y, params=["*.bias"], sketch_dim=6)


class Routed(nn.Module):
    """Samples go through one of the experts."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(D, D) for _ in range(3)])
        self.head = nn.Linear(D, 3)

    def forward(self, x):
        at = x[:, 0].long()
        out = torch.zeros_like(x)
        for k, expert in enumerate(self.experts):
            rows = torch.where(at == k)[0]
            if len(rows):
                out = out.index_put((rows,), torch.tanh(expert(x[rows])))
        return self.head(out)


@pytest.mark.filterwarnings(r"ignore:vmap\(grad\) fails for this model")
@pytest.mark.filterwarnings("ignore:check. expected gradients of layers by their formulas")
def test_parameters_that_only_later_samples_use():
    """Never silently zero: they go by a method of their own from there on."""
    torch.manual_seed(0)
    x, y = numbers(D), torch.arange(B) % 3
    x[:, 0] = torch.tensor([0, 0, 1, 2, 0])
    assert_equals_the_loop(Routed().eval(), x, y, method="loop")
    net = Routed().eval()
    few = x[[0, 1, 2, 2]], y[:4]
    sketcher = assert_equals_the_loop(net, *few, micro_batch=2)
    assert sketcher.methods["experts.1.weight"] == "hooks"
    assert sketcher.methods["experts.2.weight"] == "none"
    message = (
        r"check: .* got experts.0.weight, .* Linear, that has an output of shape \(3, 4\), with"
    )
    with pytest.warns(UserWarning, match=message):
        methods = assert_equals_the_loop(net, x, y).methods
    assert methods["experts.0.weight"] == "loop"
    assert methods["head.weight"] == "hooks"
    sketcher = GradientSketcher(net, params="all", sketch_dim=8, method="hooks")
    with pytest.raises(ValueError, match=r"check: .* by 'hooks' .* got 'experts.0.weight'"):
        sketcher((x, y))


def test_nets_of_confident_predictions():
    """Gradients of 1e-7 and below are compared as any others."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(D, 8), nn.LayerNorm(8), nn.Linear(8, 3)).eval()
    x = numbers(D).double()
    with torch.no_grad():
        net[2].weight *= 12
        y = net(x.float()).argmax(1)
    Z = GradientSketcher(net, params="all", sketch_dim=16)((x.float(), y))
    assert Z.norm(dim=1).min() < 1e-4
    net.double()
    sketcher = GradientSketcher(net, params="all", sketch_dim=16)
    G = gradients(net, sketcher.names, F.cross_entropy, x, y)
    np.testing.assert_allclose(Z.numpy(), sketcher.sketch.apply(G.numpy()), rtol=1e-2, atol=1e-6)


class WideHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Sequential(nn.Linear(D, 64), nn.Tanh(), nn.Linear(64, 64), nn.LayerNorm(64))
        self.head = nn.Linear(64, 3).double()

    def forward(self, x):
        return self.head(self.front(x).double())


def test_models_of_two_types():
    """Z is float64 where all chosen parameters are; its digits are those of the model."""
    torch.manual_seed(0)
    x, y = torch.randn(20, D), torch.arange(20) % 3
    net = WideHead().eval()
    assert_equals_the_loop(net, x, y, params="last", tol=1e-5)
    assert GradientSketcher(net, params="last", sketch_dim=8)((x, y)).dtype == torch.float64
    assert GradientSketcher(net, params="all", sketch_dim=8)((x, y)).dtype == torch.float32
