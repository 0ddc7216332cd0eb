"""Whole models against the loop: losses, targets, methods, types; a call leaves no trace."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

from support.per_sample import (
    LOSSES,
    assert_equals_the_loop,
    gradients,
    logits,
    relative_error,
)

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional
B, T, V, C = 5, 7, 40, 3

NO_BATCHING_RULE = "ignore:There is a performance drop because we have not yet implemented"
NO_VMAP = r"ignore:vmap\(grad\) fails for this model"
OF_PEFT = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
TINY = {"vocab_size": V, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


class Residual(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.a = nn.Conv2d(width, 2 * width, 3, stride, 1, bias=False)
        self.b = nn.Conv2d(2 * width, 2 * width, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(width, 2 * width, 1, stride, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm2d(2 * width) for _ in range(3)])
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        h = self.norms[1](self.b(self.relu(self.norms[0](self.a(x)))))
        h += self.norms[2](self.shortcut(x))
        return self.relu(h)


def resnet():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        Residual(4, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, C),
    )
    net(torch.randn(8, 3, 12, 12))  # in training mode: statistics
    return net.eval()


torch.manual_seed(3)
IMAGES, CLASSES = torch.randn(B, 3, 12, 12), torch.arange(B) % C
IDS = torch.randint(3, V, (B, T))
MASK = torch.ones_like(IDS)
MASK[1, 5:] = MASK[3, 2:] = MASK[4, 1:] = 0  # the last sample is a single token: no loss


def text(padded, rows=4):
    """(inputs, labels of a language model)."""
    ids, mask = IDS[:rows], MASK[:rows] if padded else torch.ones_like(MASK[:rows])
    return {"input_ids": ids, "attention_mask": mask}, ids.masked_fill(mask == 0, -100)


def gpt2(attention="sdpa"):
    config = transformers.GPT2Config(
        **TINY, n_embd=8, n_layer=2, n_head=2, n_positions=16, attn_implementation=attention
    )
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config).eval()


def llama(attention="sdpa", kind="Llama", **options):
    sizes = {"hidden_size": 16, "intermediate_size": 12, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4}
    config = getattr(transformers, f"{kind}Config")(
        **TINY, **sizes, **heads, attn_implementation=attention, **options
    )
    torch.manual_seed(0)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def bert():
    config = transformers.BertConfig(
        vocab_size=V,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        num_labels=C,
    )
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config).eval()


def t5():
    config = transformers.T5Config(
        vocab_size=V, d_model=8, d_kv=4, d_ff=12, num_layers=1, num_heads=2
    )
    torch.manual_seed(0)
    return transformers.T5ForConditionalGeneration(config).eval()


def trained(model):
    """LoRA's B is no longer 0."""
    torch.manual_seed(1)
    for name, p in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(p, 0, 0.3)
    return model.eval()


def lora(**options):
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj", "down_proj"], **options
    )
    return trained(peft.get_peft_model(llama(), config))


def lora_classifier():
    config = peft.LoraConfig(
        task_type="SEQ_CLS", r=2, target_modules=["query"], modules_to_save=["classifier"]
    )
    return trained(peft.get_peft_model(bert(), config))


def test_resnet():
    sketcher = assert_equals_the_loop(resnet(), IMAGES, CLASSES)
    assert set(sketcher.methods.values()) == {"hooks"}


class Encoder(nn.Module):
    def __init__(self, batch_first, norm_first):
        super().__init__()
        self.embedding, self.batch_first = nn.Embedding(V, 8), batch_first
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=batch_first, norm_first=norm_first)
        nested = batch_first and not norm_first
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)
        self.head = nn.Linear(8, C)

    def forward(self, input_ids, attention_mask):
        h = self.embedding(input_ids)
        h = h if self.batch_first else h.transpose(0, 1)
        h = self.encoder(h, src_key_padding_mask=attention_mask == 0)
        return self.head(h[:, 0] if self.batch_first else h[0])


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer_encoder(batch_first, norm_first, padded):
    torch.manual_seed(0)
    net = Encoder(batch_first, norm_first).eval()
    methods = assert_equals_the_loop(net, text(padded)[0], CLASSES[:4]).methods
    attention = [how for name, how in methods.items() if "self_attn" in name]
    assert set(attention) == {f"vmap encoder.layers.{i}.self_attn" for i in (0, 1)}
    assert set(methods.values()) == {"hooks", *attention}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("make", [gpt2, llama])
def test_language_models(make, attention, padded):
    model = make(attention)
    sketcher = assert_equals_the_loop(model, *text(padded), "causal-lm", sketch_dim=64)
    assert set(sketcher.methods.values()) == {"hooks"}
    # labels are the tokens where there are none
    inputs, labels = text(padded)
    Z = sketcher((inputs, labels))
    assert torch.equal(sketcher(inputs), Z)
    assert torch.equal(sketcher({**inputs, "labels": labels}), Z)


@pytest.mark.parametrize("loss", ["causal-lm-mean", "causal-lm-sum"])
def test_losses_over_tokens(loss):
    inputs, labels = text(True)
    sketcher = assert_equals_the_loop(llama(), inputs, labels, loss, sketch_dim=64)
    assert torch.equal(sketcher(inputs), sketcher((inputs, labels)))
    by_root = GradientSketcher(sketcher.model, params="all", loss="causal-lm", sketch_dim=64)
    tokens = torch.from_numpy(by_root._lengths((inputs, labels))).clamp(min=1)[:, None]
    power = {"causal-lm-mean": 0.5, "causal-lm-sum": -0.5}[loss]
    expected = by_root((inputs, labels))
    assert relative_error(sketcher((inputs, labels)) * tokens**power, expected) < 1e-5
    assert len({s.fingerprint()["loss"] for s in (sketcher, by_root)}) == 2


@pytest.mark.filterwarnings(NO_VMAP)
@pytest.mark.parametrize("kind", ["Gemma", "Qwen3", "Mistral"])
def test_relatives_of_llama(kind):
    assert_equals_the_loop(llama(kind=kind), *text(True), "causal-lm", sketch_dim=64)


def test_samples_without_a_token_to_predict():
    inputs, labels = text(True, rows=B)
    sketcher = GradientSketcher(gpt2(), params="all", loss="causal-lm", sketch_dim=64)
    Z = sketcher((inputs, labels))
    assert not Z[4].any()
    assert torch.allclose(Z[:4], sketcher(({k: x[:4] for k, x in inputs.items()}, labels[:4])))


def test_padding_does_not_matter():
    inputs, labels = text(True)
    sketcher = GradientSketcher(gpt2(), params="all", loss="causal-lm", sketch_dim=64)
    Z = sketcher((inputs, labels))
    short = {k: x[3:, :2] for k, x in inputs.items()}
    assert relative_error(sketcher((short, labels[3:, :2])), Z[3:]) < 1e-5


@pytest.mark.parametrize("padded", [False, True])
def test_bert(padded):
    inputs = text(padded)[0]
    inputs["token_type_ids"] = IDS[:4] % 2
    sketcher = assert_equals_the_loop(bert(), inputs, CLASSES[:4], sketch_dim=64)
    assert set(sketcher.methods.values()) == {"hooks"}


def sequence_loss(output, labels):
    """Not shifted, unlike "causal-lm"."""
    each = F.cross_entropy(output.logits.transpose(1, 2), labels, reduction="none")
    return each.sum(1) / (labels != -100).sum(1)


@pytest.mark.filterwarnings(NO_VMAP)
@pytest.mark.parametrize("length", [1, 4])
def test_t5(length):
    model, inputs = t5(), text(True)[0]
    inputs["decoder_input_ids"] = IDS[:4, :length]
    labels = IDS[:4, 1 : 1 + length].clone()
    labels[2, 1:] = -100
    sketcher = GradientSketcher(model, params="all", loss=sequence_loss, sketch_dim=64)
    Z = sketcher((inputs, labels))
    G = gradients(model, sketcher.names, lambda o, y: sequence_loss(o, y)[0], inputs, labels)
    assert relative_error(Z, torch.from_numpy(sketcher.sketch.apply(G.numpy()))) < 1e-5
    left = {name for name, how in sketcher.methods.items() if how != "hooks"}
    assert all("relative_attention_bias" in name for name in left)


@pytest.mark.filterwarnings(OF_PEFT)
@pytest.mark.parametrize("padded", [False, True])
def test_lora(padded):
    model = lora()
    sketcher = assert_equals_the_loop(
        model, *text(padded), "causal-lm", params="trainable", sketch_dim=64
    )
    assert len(sketcher.names) == 2 * 2 * 3
    assert all("lora_" in name for name in sketcher.names)
    assert set(sketcher.methods.values()) == {"hooks"}
    some = assert_equals_the_loop(model, *text(padded), "causal-lm", params="*lora_B*")
    assert len(some.names) == 2 * 3
    assert_equals_the_loop(model, *text(padded), "causal-lm", sketch_dim=64)  # of the base too


@pytest.mark.filterwarnings(OF_PEFT, NO_VMAP)
def test_lora_with_dora():
    """Its layers are also called with the identity matrix, for the norms of weights."""
    options = {"params": "trainable", "sketch_dim": 64}
    model = lora(use_dora=True)
    sketcher = assert_equals_the_loop(model, *text(True), "causal-lm", **options)
    for name, how in sketcher.methods.items():
        assert how.startswith("vmap ")
        assert name.startswith(how.split()[1])


@pytest.mark.filterwarnings(OF_PEFT)
def test_lora_with_modules_to_save():
    model = lora_classifier()
    sketcher = assert_equals_the_loop(
        model, text(True)[0], CLASSES[:4], params="trainable", sketch_dim=16
    )
    assert set(sketcher.methods.values()) == {"hooks"}
    assert sum("modules_to_save" in name for name in sketcher.names) == 2
    methods = assert_equals_the_loop(model, text(True)[0], CLASSES[:4], sketch_dim=64).methods
    assert {name for name, how in methods.items() if how == "none"} == {
        "base_model.model.classifier.original_module.weight",
        "base_model.model.classifier.original_module.bias",
    }


class Recommender(nn.Module):
    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(V, 4, sparse=True)
        self.items = nn.EmbeddingBag(V, 4, mode="mean", padding_idx=0)
        self.top = nn.Sequential(nn.Linear(10, 8), nn.ReLU(inplace=True), nn.Linear(8, 1))

    def forward(self, user, items, dense):
        return self.top(torch.cat([self.user(user), self.items(items), dense], 1))


def test_recommender():
    torch.manual_seed(0)
    items = IDS.masked_fill(MASK == 0, 0)
    items[0] = 5
    inputs = (torch.arange(B) * 3, items, torch.randn(B, 2))
    sketcher = assert_equals_the_loop(Recommender().eval(), inputs, torch.randn(B, 1), "mse")
    assert set(sketcher.methods.values()) == {"hooks"}


def binary(output, labels):
    return F.binary_cross_entropy_with_logits(output[:, 0], labels, reduction="none")


def test_losses_of_ones_own():
    torch.manual_seed(0)
    net, y = nn.Linear(4, 1).eval(), torch.tensor([0.0, 1, 1, 0, 1])
    x = torch.randn(B, 4)
    sketcher = GradientSketcher(net, params="all", loss=binary, sketch_dim=4)
    G = (torch.sigmoid(net(x)) - y[:, None]) * torch.cat([x, torch.ones(B, 1)], 1)
    expected = torch.from_numpy(sketcher.sketch.apply(G.detach().numpy()))
    assert relative_error(sketcher((x, y)), expected) < 1e-5
    # labels may be anything with an entry a sample
    both = {"y": y, "weight": torch.arange(1.0, 6)}
    weighted = GradientSketcher(
        net,
        params="all",
        loss=lambda o, labels: labels["weight"] * binary(o, labels["y"]),
        sketch_dim=4,
    )
    Z = weighted({"input": x, "labels": both})
    assert relative_error(Z, expected * both["weight"][:, None]) < 1e-5


CASES = {
    "cross-entropy": lambda: (resnet(), IMAGES, CLASSES),
    "mse": lambda: (resnet(), IMAGES, torch.linspace(-1, 1, B * C).view(B, C)),
    "causal-lm": lambda: (gpt2(), *text(True)),
}


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        ("cross-entropy", "random"),
        ("cross-entropy", "uniform"),
        ("mse", "random"),
        ("causal-lm", "random"),
        ("causal-lm", "uniform"),
    ],
)
def test_drawn_targets(loss, targets):
    """They depend on (seed, sample id) alone, and the gradients are those of what was drawn."""
    net, inputs, labels = CASES[loss]()
    n = len(labels)
    ids = np.arange(n) * 1000 + 7
    options = {"loss": loss, "targets": targets, "sketch_dim": 64, "seed": 4}
    sketcher = GradientSketcher(net, params="all", **options)
    Z = sketcher((inputs, labels), ids)
    drawn = sketcher._pass.loss.targets(net_output(net, inputs), labels, targets, ids, 4)
    G = gradients(net, sketcher.names, LOSSES[loss], inputs, drawn)
    assert relative_error(Z, torch.from_numpy(sketcher.sketch.apply(G.numpy()))) < 1e-5

    order = torch.tensor([2, 0, 3, 1, 2])
    shuffled = torch.utils._pytree.tree_map(lambda x: x[order], (inputs, labels))
    other = GradientSketcher(net, params="all", micro_batch=2, **options)
    assert relative_error(other(shuffled, ids[order]), Z[order]) < 1e-5
    assert relative_error(sketcher((inputs, labels), torch.from_numpy(ids)), Z) == 0
    assert relative_error(sketcher((inputs, labels), ids + 1), Z) > 1e-2
    again = GradientSketcher(net, params="all", **{**options, "seed": 5})((inputs, labels), ids)
    assert relative_error(again, Z) > 1e-2


def net_output(net, inputs):
    with torch.no_grad():
        return net(**inputs) if isinstance(inputs, dict) else net(inputs)


def test_drawn_tokens_do_not_depend_on_padding():
    net, (inputs, labels) = gpt2(), text(True)
    ids = np.arange(4)
    sketcher = GradientSketcher(
        net, params="all", loss="causal-lm", targets="random", sketch_dim=64
    )
    Z = sketcher((inputs, labels), ids)
    short = {k: x[3:, :2] for k, x in inputs.items()}
    assert relative_error(sketcher((short, labels[3:, :2]), ids[3:]), Z[3:]) < 1e-5


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize("loss", CASES)
def test_methods_agree(loss):
    net, inputs, labels = CASES[loss]()
    if loss == "causal-lm":
        inputs = {"inputs_embeds": torch.randn(4, T, 8)}  # vmap takes no masks of transformers
    Z = {}
    for method in ("auto", "hooks", "loop"):
        sketcher = GradientSketcher(net, params="*weight", loss=loss, sketch_dim=64, method=method)
        Z[method] = sketcher((inputs, labels))
        used = set(sketcher.methods.values())
        assert used <= ({"loop"} if method == "loop" else {"hooks", "vmap", "none"})
    if loss != "causal-lm":
        sketcher = GradientSketcher(net, params="*weight", loss=loss, sketch_dim=64, method="vmap")
        Z["vmap"] = sketcher((inputs, labels))
        assert set(sketcher.methods.values()) == {"vmap"}
    assert torch.equal(Z["auto"], Z["hooks"])
    for method in Z:
        assert relative_error(Z[method], Z["loop"]) < 1e-5, method


@pytest.mark.parametrize("check", [0, 1, 3, 100])
@pytest.mark.parametrize("micro_batch", [1, 2, 100])
def test_checks_and_micro_batches_do_not_matter(check, micro_batch):
    assert_equals_the_loop(gpt2(), *text(True), "causal-lm", check=check, micro_batch=micro_batch)


@pytest.mark.parametrize("loss", CASES)
def test_bfloat16(loss):
    """Sums are float32; gradients are those of float32 to the rounding of bfloat16."""
    net, inputs, labels = CASES[loss]()
    options = {"params": "all", "loss": loss, "sketch_dim": 64}
    exact = GradientSketcher(net, **options)((inputs, labels))
    with torch.autocast("cpu", torch.bfloat16):
        net_output(net, inputs)  # casts of weights are cached without their graph
        sketcher = GradientSketcher(net, **options)
        Z = sketcher((inputs, labels))
        G = gradients(net, sketcher.names, LOSSES[loss], inputs, labels)
        expected = torch.from_numpy(sketcher.sketch.apply(G.numpy()))
    assert set(sketcher.methods.values()) == {"hooks"}
    assert Z.dtype == torch.float32
    assert relative_error(Z, expected) < 0.02
    assert relative_error(Z, exact) < 0.1
    low = copy.deepcopy(net).to(torch.bfloat16)
    if not isinstance(inputs, dict):
        inputs = inputs.bfloat16()
    Z = GradientSketcher(low, **options)((inputs, labels))
    assert Z.dtype == torch.float32
    assert relative_error(Z, exact) < 0.1


def state(model):
    return {
        "weights": [(x.clone(), x._version) for x in model.state_dict().values()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grad": [None if p.grad is None else p.grad.clone() for p in model.parameters()],
        "hooks": [
            (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks))
            for m in model.modules()
        ],
        "training": [m.training for m in model.modules()],
        "random": torch.get_rng_state(),
        "fast path": torch.backends.mha.get_fastpath_enabled(),
        "grad mode": torch.is_grad_enabled(),
    }


def same(a, b):
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.filterwarnings(NO_BATCHING_RULE)
@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("fails", [False, True])
def test_calls_leave_no_trace(method, fails):
    torch.manual_seed(0)
    net = nn.Sequential(resnet(), nn.PReLU(), nn.Dropout()).eval()
    nets = [net, Encoder(True, False).eval()]
    inputs = [(IMAGES,), (text(True, B)[0],)]
    for model, args in zip(nets, inputs, strict=True):
        parameters = list(model.parameters())
        for p in parameters[::2]:
            p.requires_grad_(False)
        for p in parameters[1::2]:
            p.grad = torch.randn_like(p)
        kept = parameters[1].grad
        handle = next(model.modules()).register_forward_hook(lambda module, args, out: None)
        sketcher = GradientSketcher(model, params="all", sketch_dim=8, method=method)
        torch.backends.mha.set_fastpath_enabled(True)
        copies = torch.utils._pytree.tree_map(torch.clone, args)
        before = state(model)
        with torch.no_grad():
            if fails:
                with pytest.raises(ValueError, match=r"batch: expected labels in \[0, 2\]"):
                    sketcher((*args, CLASSES + 1))
            else:
                sketcher((*args, CLASSES))
                sketcher((*args, CLASSES))
        after = state(model)
        for name in before:
            assert same(before[name], after[name]), name
        assert parameters[1].grad is kept
        assert same(torch.utils._pytree.tree_leaves(copies), torch.utils._pytree.tree_leaves(args))
        handle.remove()


def test_inputs_are_left_alone():
    """They may have gradients of their own."""
    torch.manual_seed(0)
    for method in ("auto", "vmap", "loop"):
        x = torch.randn(B, 4, requires_grad=True)
        Z = GradientSketcher(nn.Linear(4, C).eval(), params="all", sketch_dim=8, method=method)(
            (x, CLASSES)
        )
        assert x.grad is None
        assert not Z.requires_grad
    y = logits(nn.Linear(4, C)(x))  # part of a graph
    GradientSketcher(nn.Linear(C, C).eval(), params="all", sketch_dim=8)((y, CLASSES))
    y.sum().backward()
    assert x.grad is not None


def test_equal_bits_for_any_number_of_threads():
    net = resnet()
    one, two = (
        GradientSketcher(net, params="all", sketch_dim=32, n_threads=n)((IMAGES, CLASSES))
        for n in (1, 2)
    )
    assert torch.equal(one, two)
