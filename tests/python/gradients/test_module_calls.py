"""Parameters without a formula, found by running the module around them alone: equal to the loop,
whatever the module is called with, or by a slower method."""

import pytest

torch = pytest.importorskip("torch")

from support.per_sample import assert_equals_the_loop, gradients, relative_error

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional
B, T, D, C, V = 4, 6, 8, 3, 40

pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop because we have not yet"),
    pytest.mark.filterwarnings("ignore:check. expected gradients of layers by their formulas"),
    pytest.mark.filterwarnings(r"ignore:vmap\(grad\) fails for this model"),
]

torch.manual_seed(0)
X, Y = torch.randn(B, T, D), torch.arange(B) % C


class Attends(nn.Module):
    """Attention of its inputs, called as `how` says, between two layers."""

    def __init__(self, how, batch_first=True):
        super().__init__()
        sizes = {"kdim": 5, "vdim": 3} if how == "cross" else {}
        self.how, self.batch_first = how, batch_first
        self.inner, self.head = nn.Linear(D, D), nn.Linear(D + T, C)
        self.attention = nn.MultiheadAttention(D, 2, batch_first=batch_first, **sizes)

    def forward(self, x):
        h = torch.tanh(self.inner(x))
        of_samples = x[..., 0] > 0.9
        h = h if self.batch_first else h.transpose(0, 1)
        keys, values = (h[..., :5], h[..., :3]) if self.how == "cross" else (h, h)
        masks = {
            "masked": {"attn_mask": torch.ones(T, T).triu(1).bool()},
            "padded": {"key_padding_mask": of_samples},
            "a mask a head": {"attn_mask": torch.ones(2 * len(x), T, T).triu(1).bool()},
        }.get(self.how, {})
        out, weights = self.attention(h, keys, values, **masks)
        out = out if self.batch_first else out.transpose(0, 1)
        return self.head(torch.cat([out, weights], 2).mean(1))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("how", ["self", "cross", "masked", "padded", "a mask a head"])
@pytest.mark.parametrize("micro_batch", [1, 3, B])
def test_attention(how, batch_first, micro_batch):
    """Both of its outputs have gradients. One batch has as many samples as positions."""
    torch.manual_seed(0)
    net = Attends(how, batch_first).eval()
    sketcher = assert_equals_the_loop(net, X, Y, micro_batch=micro_batch)
    found = {name.split(".")[0]: how for name, how in sketcher.methods.items()}
    assert found == {"inner": "hooks", "attention": "vmap attention", "head": "hooks"}
    x, y = torch.randn(T, T, D), torch.arange(T) % C
    expected = sketcher.sketch.apply(gradients(net, sketcher.names, F.cross_entropy, x, y).numpy())
    assert relative_error(sketcher((x, y)), torch.from_numpy(expected)) < 1e-5


class Cache:
    def __init__(self, *rows):
        self.rows = list(rows)


class Own(nn.Module):
    """A module with a parameter of its own; `how` says what it does and what it is called with."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.weight, self.inside = nn.Parameter(torch.randn(D, D)), nn.Linear(D, D)

    def forward(self, x, *others, cache=None):
        if self.how == "changes its input":
            x.mul_(2).add_(1)
        h = torch.tanh(x @ self.weight)
        if self.how == "uses an output inside":
            return h + torch.sin(h), h
        if self.how == "a scalar beside":
            return h, self.weight.square().sum()
        if self.how == "a cache":
            cache.rows.append(h)
            return sum(cache.rows)
        if self.how == "a choice of rows":
            kept = h[..., 0] > 0
            return h.index_put((kept,), self.inside(h[kept]))
        if self.how == "a module":
            return others[0](h)
        if self.how == "a dict":
            return {"scores": self.inside(h), "more": [h, None]}
        return h * others[0] if others else h


class Around(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how, self.first, self.own, self.head = how, nn.Linear(D, D), Own(how), nn.Linear(D, C)

    def forward(self, x):
        h = self.first(x)
        if self.how in ("uses an output inside", "a scalar beside"):
            h, more = self.own(h)
            h = h * more
        elif self.how == "a cache":
            h = self.own(h, cache=Cache(h))
        elif self.how == "a module":
            h = self.own(h, self.first)
        elif self.how == "a dict":
            out = self.own(h)
            h = out["scores"] * out["more"][0]
        elif self.how == "a shared tensor":
            h = self.own(h, torch.arange(1.0, 1 + x.shape[1])[:, None])
        elif self.how == "twice":
            h = self.own(self.own(h))
        elif self.how == "rows of tokens":
            h = self.own(h.flatten(0, 1)).view_as(h)
        elif self.how == "positions first":
            h = self.own(h.transpose(0, 1)).transpose(0, 1)
        else:
            h = self.own(h)
        return self.head(h.mean(1))


@pytest.mark.parametrize(
    ("how", "method"),
    [
        ("changes its input", "vmap"),  # the model's own layer changes what others read
        ("uses an output inside", "vmap own"),
        ("a scalar beside", "vmap"),
        ("a cache", "vmap"),
        ("a choice of rows", "loop own"),
        ("a module", "vmap own"),
        ("a dict", "vmap own"),
        ("a shared tensor", "vmap own"),
        ("twice", "vmap own"),
        ("rows of tokens", "vmap own"),
        ("positions first", "vmap own"),
    ],
)
@pytest.mark.parametrize("micro_batch", [2, B])
def test_modules_with_parameters_of_their_own(how, method, micro_batch):
    torch.manual_seed(0)
    net = Around(how).eval()
    for p in net.parameters():
        p.grad = torch.ones_like(p)
    sketcher = assert_equals_the_loop(net, X, Y, micro_batch=micro_batch)
    assert sketcher.methods["own.weight"] == method
    assert sketcher.methods["head.weight"] == "hooks"
    assert all(p.requires_grad and (p.grad == 1).all() for p in net.parameters())
    x, y = torch.randn(T, T, D), torch.arange(T) % C
    expected = sketcher.sketch.apply(gradients(net, sketcher.names, F.cross_entropy, x, y).numpy())
    assert relative_error(sketcher((x, y)), torch.from_numpy(expected)) < 1e-5


class Folded(nn.Module):
    """Layers see the frames (B · T, ...) of all samples, or positions first."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.conv, self.norm, self.inner = nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3), nn.Linear(18, D)
        self.scale, self.head = nn.LayerNorm(D), nn.Linear(D, C)

    def forward(self, x):
        frames = x.flatten(0, 1)[:, None] if self.how == "frames" else x.transpose(0, 1)[..., None]
        if self.how == "frames":
            h = self.norm(self.conv(frames)).flatten(1)
            return self.head(self.scale(self.inner(h)).view(len(x), T, D).mean(1))
        h = self.inner(frames.expand(*frames.shape[:3], 18).mean(2))
        return self.head(self.scale(torch.tanh(h)).mean(0))


@pytest.mark.parametrize("how", ["frames", "positions first"])
@pytest.mark.parametrize("micro_batch", [1, 3, B])
def test_layers_that_see_rows_of_all_samples(how, micro_batch):
    torch.manual_seed(0)
    net = Folded(how).eval()
    methods = assert_equals_the_loop(net, X, Y, micro_batch=micro_batch, sketch_dim=16).methods
    for name in ("inner.weight", "scale.weight", "head.bias"):
        assert methods[name] == "hooks"
    if how == "frames":
        assert methods["conv.weight"] == "vmap conv"
        assert methods["norm.bias"] == "vmap norm"


@pytest.mark.parametrize("bfloat16", ["weights", "autocast"])
def test_bfloat16(bfloat16):
    torch.manual_seed(0)
    net = Attends("self").eval()
    exact = GradientSketcher(net, params="all", sketch_dim=64)((X, Y))
    if bfloat16 == "weights":
        low = Attends("self").eval()
        low.load_state_dict(net.state_dict())
        sketcher = GradientSketcher(low.bfloat16(), params="all", sketch_dim=64)
        Z = sketcher((X.bfloat16(), Y))
    else:
        with torch.autocast("cpu", torch.bfloat16):
            sketcher = GradientSketcher(net, params="all", sketch_dim=64)
            Z = sketcher((X, Y))
    assert sketcher.methods["attention.in_proj_weight"] == "vmap attention"
    assert Z.dtype == torch.float32
    assert relative_error(Z, exact) < 0.1


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # of the compiler
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("what", ["model", "blocks"])
@pytest.mark.parametrize("warm", [False, True])
def test_compiled_models(backend, what, warm):
    """They run as they were before: hooks that are made later would not be called, or be traced."""
    torch.manual_seed(0)
    plain = Around("twice").eval()
    expected = GradientSketcher(plain, params="all", sketch_dim=16)((X, Y))
    if what == "blocks":
        plain.own.compile(backend=backend)
        plain.first.compile(backend=backend)
    model = torch.compile(plain, backend=backend) if what == "model" else plain
    if warm:
        model(X)
    sketcher = GradientSketcher(model, params="all", sketch_dim=16)
    assert torch.equal(sketcher((X, Y)), expected)
    assert {how.split()[0] for how in sketcher.methods.values()} == {"hooks", "vmap", "none"}
    model(X)  # compiled again
    torch.compiler.reset()


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.own, self.head = nn.Linear(D, D), Own(""), nn.Linear(D, C)
        self.reentrant = reentrant

    def block(self, h):
        return self.own.inside(self.own(h)) + h

    def forward(self, x):
        h = self.first(x)
        if self.reentrant is None:
            h = self.block(h)
        else:
            checkpoint = torch.utils.checkpoint.checkpoint
            h = checkpoint(self.block, h, use_reentrant=self.reentrant)
        return self.head(h.mean(1))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True")  # without need
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant):
    nets = [Checkpointed(how).eval() for how in (None, reentrant)]
    nets[1].load_state_dict(nets[0].state_dict())
    sketchers = [GradientSketcher(net, params="all", sketch_dim=16) for net in nets]
    plain, checkpointed = (sketcher((X, Y)) for sketcher in sketchers)
    assert relative_error(checkpointed, plain) < 1e-5
    assert sketchers[1].methods["own.weight"] == "vmap own"
    assert sketchers[1].methods["own.inside.weight"] == "hooks"


class Packed(nn.Module):
    """A frozen weight as integers, as quantised layers have it."""

    def __init__(self, as_parameter):
        super().__init__()
        weight = torch.randint(0, 255, (D, D), dtype=torch.uint8)
        if as_parameter:
            self.weight = nn.Parameter(weight, requires_grad=False)
        else:
            self.register_buffer("weight", weight)
        self.register_buffer("scale", torch.rand(D, 1) / 100)

    def forward(self, x):
        return F.linear(x, (self.weight.float() - 127) * self.scale)


class Adapted(nn.Module):
    def __init__(self, as_parameter):
        super().__init__()
        self.base = Packed(as_parameter)
        self.lora_A, self.lora_B = nn.Linear(D, 2, bias=False), nn.Linear(2, D, bias=False)

    def forward(self, x):
        return self.base(x) + self.lora_B(self.lora_A(x))


@pytest.mark.parametrize("as_parameter", [False, True])
def test_adapters_of_quantised_layers(as_parameter):
    torch.manual_seed(0)
    head = nn.Linear(T * D, C).requires_grad_(False)
    blocks = [Adapted(as_parameter), nn.Tanh(), Adapted(as_parameter)]
    net = nn.Sequential(*blocks, nn.Flatten(), head).eval()
    sketcher = assert_equals_the_loop(net, X, Y, params="trainable")
    assert set(sketcher.methods.values()) == {"hooks"}
    assert len(sketcher.names) == 4
    assert sketcher._checked.tolerance == 1e-3  # of float32: integers round nothing
    before = sketcher.fingerprint()["weights"]
    net[0].base.weight[0, 0] += 1
    assert sketcher.fingerprint()["weights"] != before
    if as_parameter:
        with pytest.raises(
            TypeError, match=r"params: .* got '0.base.weight' of torch.uint8, as in"
        ):
            GradientSketcher(net, params="all", sketch_dim=16)


SIZES = {
    "hidden_size": 16,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "vocab_size": V,
    "pad_token_id": 0,
    "num_local_experts": 4,
}
KINDS = {
    "Mixtral": {},
    "GptOss": {},
    "Qwen3Moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
    "Llama4": {"intermediate_size_mlp": 8},
}


def experts(kind, implementation):
    transformers = pytest.importorskip("transformers", "5")  # earlier ones have a module for each
    config = getattr(transformers, f"{kind}{'Text' if kind == 'Llama4' else ''}Config")(
        **{**SIZES, **KINDS[kind]}, experts_implementation=implementation
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    for p in model.parameters():
        if p.ndim == 3 or not p.any():  # made empty, or 0
            nn.init.normal_(p, 0, 0.2)
    return model


@pytest.mark.parametrize("implementation", [None, "eager", "batched_mm"])
@pytest.mark.parametrize("kind", KINDS)
def test_fused_experts(kind, implementation):
    """Weights of all experts in one parameter, which see the tokens of all samples in rows."""
    model = experts(kind, implementation)
    ids = torch.randint(3, V, (B, T))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    inputs, labels = {"input_ids": ids, "attention_mask": mask}, ids.masked_fill(mask == 0, -100)
    sketcher = assert_equals_the_loop(model, inputs, labels, "causal-lm", tol=1e-4)
    found = {name: how for name, how in sketcher.methods.items() if "experts" in name}
    assert len(found) >= 4
    for name, how in found.items():
        assert how.split()[0] in ("vmap", "loop")
        assert name.startswith(how.split()[1])
