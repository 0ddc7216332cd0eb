"""What has no per-sample gradients, or is no batch of a model, has its message."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.per_sample import assert_equals_the_loop

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional
B, D, C = 5, 4, 3

torch.manual_seed(0)
X, Y = torch.randn(B, D), torch.arange(B) % C


def net(*layers):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(D, D), *layers, nn.Linear(D, C)).eval()


def sketch(model, batch=..., ids=None, **options):
    options = {"params": "all", "sketch_dim": 8, **options}
    return GradientSketcher(model, **options)((X, Y) if batch is ... else batch, ids)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(D), nn.Dropout(0.1)])
def test_training_mode(layer):
    model = net(nn.Sequential(layer))
    layer.train()
    with pytest.raises(ValueError, match=r"model: expected eval mode, got training mode in 1\.0"):
        sketch(model)
    layer.eval()
    sketcher = GradientSketcher(model, sketch_dim=8)
    sketcher((X, Y))
    model.train()
    with pytest.raises(ValueError, match=r"model: .* training mode in the model: .*model.eval"):
        sketcher((X, Y))


class Apply(nn.Module):
    """A function of x (and of the linear layer before)."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("method", ["auto", "hooks"])
def test_random_functions(method):
    model = net(Apply(lambda x: F.dropout(x, 0.5, training=True)))
    with pytest.raises(ValueError, match=r"check: .* got '.*' off by .* random at work\?"):
        sketch(model, method=method)


def test_random_functions_under_vmap():
    model = net(Apply(lambda x: F.dropout(x, 0.5, training=True)))
    with pytest.raises(RuntimeError, match="random"):  # torch's own
        sketch(model, method="vmap")


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(6, D), nn.Linear(D, C)

    def forward(self, x):
        return self.head(torch.tanh(x + self.table(torch.arange(6)).sum(0)))


def test_gradients_that_do_not_carry_the_batch():
    message = (
        r"params: .* read off their layers, got 'table.weight': its layer, Embedding, has an "
        r"output of shape \(6, 4\), without the batch of 2 samples .* summed over the samples; "
    )
    with pytest.raises(ValueError, match=message):
        sketch(Table().eval(), method="hooks")
    methods = assert_equals_the_loop(Table().eval(), X, Y, sketch_dim=8).methods
    assert methods["table.weight"] == "vmap"


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize(
    "layer", [nn.PReLU(), nn.Bilinear(D, D, D), nn.InstanceNorm2d(D, affine=True)]
)
def test_layers_without_formulas(layer):
    inputs = {
        "PReLU": [X],
        "Bilinear": [X, X],
        "InstanceNorm2d": [X[:, :, None, None].repeat(1, 1, 2, 2)],
    }
    kind = type(layer).__name__

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.own, self.head = layer, nn.LazyLinear(C)

        def forward(self, *x):
            return self.head(self.own(*x).flatten(1))

    model = Own().eval()
    model(*inputs[kind])
    with pytest.raises(
        ValueError, match=f"params: .*, got 'own.weight': its layer, {kind}, has no formula here"
    ):
        sketch(model, (*inputs[kind], Y), method="hooks")
    assert_equals_the_loop(model, tuple(inputs[kind]), Y, sketch_dim=8)


def test_layers_that_are_not_called():
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(D, C)

        def forward(self, x):
            return F.linear(x, self.a.weight)

    with pytest.raises(ValueError, match=r"got 'a.weight': its layer, Linear, is not called"):
        sketch(Inside().eval(), method="hooks")
    assert assert_equals_the_loop(Inside().eval(), X, Y, sketch_dim=8).methods == {
        "a.weight": "vmap",
        "a.bias": "none",
    }


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(D, D), nn.Linear(D, D), nn.Linear(D, C)

    def forward(self, x):
        h = torch.utils.checkpoint.checkpoint(self.b, self.a(x), use_reentrant=True)
        return self.head(h)


def test_reentrant_checkpoints_that_lose_gradients():
    """Torch says so, and gives none for the layers inside."""
    model = Checkpointed().eval()
    for params in (["b.*", "head.*"], "b.weight"):
        with pytest.raises(ValueError, match=r"model: expected checkpoints .* use_reentrant=False"):
            GradientSketcher(model, params=params, sketch_dim=2)((X, Y))


def statistics(x):
    return (x - x.mean(0)) / (x.var(0, correction=0) + 1)


@pytest.mark.parametrize("check", [1, 2, 4])
@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(D, track_running_stats=False), Apply(statistics)], ids=["layer", "own"]
)
@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_batch_statistics(layer, check):
    """The loss of a sample depends on the others."""
    error = "check: expected gradients by|model: .* do not depend on the others|more than 1 value"
    with pytest.raises(ValueError, match=error):
        sketch(net(layer), check=check)


def test_first_batches_of_one_sample():
    """They do not show what happens between samples."""
    sketcher = GradientSketcher(net(Apply(statistics)), params="all", sketch_dim=8)
    assert sketcher((X[:1], Y[:1])).shape == (1, 8)
    with pytest.raises(ValueError, match=r"check: expected|model: .* depend on the others"):
        sketcher((X, Y))
    sketcher = GradientSketcher(net(), params="all", sketch_dim=8)
    one = sketcher((X[:1], Y[:1]))
    assert torch.allclose(sketcher((X, Y))[:1], one)


def test_batches_of_more_than_the_checked_samples():
    """Seen only beyond two samples."""

    def beyond_two(x):
        return x + (x[2:].sum() if len(x) > 2 else 0)

    for method in ("auto", "hooks"):
        with pytest.raises(ValueError, match=r"model: .* not depend on the others .* sample 0"):
            sketch(net(Apply(beyond_two)), method=method)


def contrastive(output, labels):
    z = F.normalize(output, dim=1)
    return F.cross_entropy(z @ z.T, torch.arange(len(z)), reduction="none")


def test_losses_across_samples():
    with pytest.raises(ValueError, match=r"check: expected|model: .* depend on the others"):
        sketch(net(), loss=contrastive)


def test_not_finite_inputs():
    for bad in (torch.nan, torch.inf):
        for i in range(B):
            x = X.clone()
            x[i, 1] = bad
            for method in ("auto", "vmap", "loop"):
                with pytest.raises(
                    ValueError, match=f"batch: expected finite .* NaN or Inf first in sample {i}$"
                ):
                    sketch(net(nn.LayerNorm(D)), (x, Y), method=method, micro_batch=2)


def test_not_finite_weights():
    model = net()
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"batch: expected finite .* first in sample 0"):
        sketch(model)


def test_later_batches_are_looked_at_too():
    sketcher = GradientSketcher(net(), params="all", sketch_dim=8)
    Z = sketcher((X, Y))
    for batch, message in (
        ((X * torch.nan, Y), "batch: expected finite"),
        ((X, Y - 1), r"batch: expected labels in \[0, 2\], got -1 to 1"),
        ((X[:, :2], Y), "batch: expected inputs that the model takes"),
    ):
        with pytest.raises(ValueError, match=message):
            sketcher(batch)
    assert torch.equal(sketcher((X, Y)), Z)


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize("dtype", [torch.float16, torch.complex64])
def test_types_of_parameters(dtype):
    with pytest.raises(TypeError, match=f"model: expected .* got .*{dtype}"):
        sketch(net().to(dtype))
    mixed = net(nn.Linear(D, D).to(dtype))
    with pytest.raises(TypeError, match="model: expected parameters of float32, float64"):
        sketch(mixed)


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "meta"])
def test_other_devices(device):
    message = f"device: expected that of the parameters, cpu, got {device}; model.to"
    with pytest.raises(ValueError, match=message):
        sketch(net(), device=device)


@pytest.mark.parametrize("device", ["gpu 0", 1.5, None])
def test_no_devices(device):
    with pytest.raises(ValueError, match="device: expected 'auto' or a device, got"):
        sketch(net(), device=device)


def test_parameters_on_two_devices():
    model = net()
    model[1].to("meta")
    with pytest.raises(ValueError, match="params: expected parameters on one device"):
        sketch(model)


class Adapted(nn.Module):
    """Named as PEFT names them."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(D, C)
        self.lora_A = nn.ModuleDict({"default": nn.Linear(D, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, C, bias=False)})
        nn.init.zeros_(self.lora_B["default"].weight)

    def forward(self, x):
        return self.base(x) + self.lora_B["default"](self.lora_A["default"](x))


def test_fresh_adapters():
    model = Adapted().eval()
    with pytest.warns(
        UserWarning, match=r"params: lora_B.default.weight is 0, .*'\*lora_B\*'"
    ) as w:
        Z = sketch(model)
    assert w[0].filename == __file__.replace(".pyc", ".py")
    assert Z.any(1).all()
    sketch(model, params="*lora_B*", sketch_dim=6)  # no warning
    nn.init.ones_(model.lora_B["default"].weight)
    sketch(model)


@pytest.mark.parametrize(
    ("loss", "got"),
    [
        (F.cross_entropy, r"\(\)"),
        (lambda o, y: F.cross_entropy(o, y).item(), "float"),
        (lambda o, y: F.cross_entropy(o, y)[None], r"\(1,\)"),
        (lambda o, y: F.cross_entropy(o, y, reduction="none")[:, None], r"\(\d, 1\)"),
        (lambda o, y: o, r"\(\d, 3\)"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "loop", "vmap"])
def test_losses_of_other_shapes(loss, got, method):
    with pytest.raises(ValueError, match=f"loss: expected one loss per sample, shape .* got {got}"):
        sketch(net(), loss=loss, method=method)


@pytest.mark.parametrize(
    "loss", [lambda o, y: F.cross_entropy(o.detach(), y, reduction="none"), lambda o, y: y * 1.0]
)
@pytest.mark.parametrize("method", ["auto", "loop", "vmap", "hooks"])
def test_losses_without_gradients(loss, method):
    with pytest.raises(ValueError, match="loss: expected one that depends on the chosen param"):
        sketch(net(), loss=loss, method=method)


def test_models_without_gradients():
    model = net()
    model.forward = torch.no_grad()(model.forward)
    with pytest.raises(ValueError, match=r"loss: expected .*no_grad\(\) or inference_mode\(\)\?"):
        sketch(model)
    with torch.inference_mode(), pytest.raises(ValueError, match="loss: expected one that depends"):
        sketch(net(), (X.clone(), Y))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ({"input": X}, ValueError, "batch: expected labels as a tensor, got NoneType"),
        ((X,), ValueError, "batch: expected labels as a tensor, got NoneType"),
        ((X, None), ValueError, "batch: expected labels as a tensor, got NoneType"),
        ((X[:0], Y[:0]), ValueError, "batch: expected inputs as tensors of at least one sample"),
        ({"input": X[:0], "labels": Y[:0]}, ValueError, "batch: expected inputs as tensors"),
        ({}, ValueError, "batch: expected inputs as tensors"),
        ((), TypeError, r"batch: expected \(inputs, labels\) or a dict, got tuple"),
        (None, TypeError, r"batch: expected \(inputs, labels\) or a dict, got NoneType"),
        ((X.numpy(), Y), ValueError, "batch: expected inputs as tensors"),
        ((X, Y.tolist()), ValueError, r"batch: expected labels as a tensor.* \(5\), got list"),
        ((X, Y[0]), ValueError, r"batch: expected labels as a tensor.* \(5\), got Tensor"),
        ((X, Y[:, None]), TypeError, r"batch: expected labels \(B,\) of int64, got \(., 1\)"),
        ((X, Y.int()), TypeError, r"batch: expected labels \(B,\) of int64.* torch.int32"),
        ((X, Y + 1), ValueError, r"batch: expected labels in \[0, 2\], got 1 to 3"),
        ((X, Y - 1), ValueError, r"batch: expected labels in \[0, 2\], got -1 to"),
        ((X, X, Y), ValueError, "batch: expected inputs that the model takes: .*positional"),
        ({"x": X, "labels": Y}, ValueError, "batch: expected inputs that the model takes: .*'x'"),
        ((X.double(), Y), ValueError, "batch: expected inputs that the model takes: .*dtype"),
        ((X[:, :3], Y), ValueError, "batch: expected inputs that the model takes: .*shape"),
        ((X.long(), Y), ValueError, "batch: expected inputs that the model takes"),
    ],
)
@pytest.mark.parametrize("method", ["auto", "loop"])
def test_batches(batch, error, message, method):
    with pytest.raises(error, match=message):
        sketch(net(), batch, method=method, micro_batch=B)


def test_batches_of_language_models():
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(7, 6)

        def forward(self, input_ids=None, inputs_embeds=None, attention_mask=None):
            return self.embedding(input_ids) if inputs_embeds is None else inputs_embeds

    model, ids = Words().eval(), torch.arange(15).view(5, 3) % 6
    options = {"loss": "causal-lm"}
    for batch, error, message in (
        ((ids, ids + 1), ValueError, r"batch: expected labels in \[0, 5\], got 1 to 6"),
        ((ids, ids - 100), ValueError, r"batch: expected labels in \[0, 5\], got -99 to"),
        ((ids, ids[:, :2]), TypeError, r"batch: expected labels \(\d, 3\) of int64, got \(\d, 2\)"),
        ((ids, ids.float()), TypeError, "batch: expected labels .* torch.float32"),
        (
            {"inputs_embeds": torch.randn(5, 3, 6)},
            ValueError,
            "batch: expected labels, or tokens as input_ids or as the first input, got neither",
        ),
    ):
        with pytest.raises(error, match=message):
            sketch(model, batch, **options)
    with pytest.raises(ValueError, match=r"model: expected logits \(B, T, V\), got shape \(., 3\)"):
        sketch(net(), **options)
    with pytest.raises(ValueError, match=r"model: expected logits \(B, C\), got shape \(., 3, 6\)"):
        sketch(model, (ids, Y))


@pytest.mark.parametrize("output", [None, {"loss": 1}, "logits", ()])
def test_outputs_of_other_kinds(output):
    with pytest.raises(TypeError, match=r"model: expected a tensor .* or logits as output, got"):
        sketch(nn.Sequential(nn.Linear(D, C), Apply(lambda x: output)).eval())


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ("0.wait", ValueError, r"expected names or patterns of parameters \(0.weight, .* '0.wait'"),
        (["0.weight", "*lora*"], ValueError, r"got '\*lora\*'"),
        ([], ValueError, r"at least one parameter, got none with \[\]"),
        (lambda name, p: p.ndim > 2, ValueError, "at least one parameter, got none"),
        ({"0.weight"}, TypeError, "expected names, patterns or a predicate, got {'0.weight'}"),
        ([0], TypeError, r"expected names, patterns or a predicate, got \[0\]"),
        (None, TypeError, "expected names, patterns or a predicate, got None"),
    ],
)
def test_choices_of_parameters(params, error, message):
    with pytest.raises(error, match=f"params: .*{message}"):
        sketch(net(), params=params)


def test_models_without_parameters():
    with pytest.raises(ValueError, match="params: expected at least one parameter"):
        sketch(nn.ReLU().eval())
    frozen = net().requires_grad_(False)
    with pytest.raises(ValueError, match=r"params: .* got none with 'trainable'"):
        sketch(frozen, params="trainable")


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (None, ValueError, "sample_ids: expected ids with targets=.*, got None"),
        (np.arange(4), ValueError, r"sample_ids: expected 5 integers, got shape \(4,\)"),
        (np.arange(5.0), ValueError, "sample_ids: expected 5 integers, got .* float64"),
        (
            np.zeros((5, 1), int),
            ValueError,
            r"sample_ids: expected 1 dimension, got shape \(5, 1\)",
        ),
        ("abcde", ValueError, "sample_ids: expected 1 dimension"),
    ],
)
@pytest.mark.parametrize("targets", ["random", "uniform"])
def test_sample_ids(ids, error, message, targets):
    with pytest.raises(error, match=message):
        sketch(net(), ids=ids, targets=targets)


def test_drawn_targets_of_ones_own_loss():
    with pytest.raises(ValueError, match="targets: expected 'label' with a loss of your own"):
        sketch(net(), loss=contrastive, targets="random")


class Branches(nn.Module):
    """vmap does not follow data."""

    def __init__(self):
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(D)), nn.Linear(D, C)

    def forward(self, x):
        return self.head(x * self.weight if x.sum().item() > -1e9 else x)


def test_vmap_that_fails():
    model = Branches().eval()
    message = r"vmap\(grad\) fails for this model \(.*\): 1 parameters, 'weight' first, go .* one"
    sketcher = GradientSketcher(model, params="all", sketch_dim=8)
    with pytest.warns(UserWarning, match=message):
        Z = sketcher((X, Y))
    assert sketcher.methods == {"weight": "loop", "head.weight": "hooks", "head.bias": "hooks"}
    assert torch.equal(sketcher((X, Y)), Z)  # without another warning
    assert_equals_the_loop(model, X, Y, method="loop", sketch_dim=8)
    with pytest.raises(RuntimeError, match="vmap"):
        sketch(model, method="vmap")


@pytest.mark.filterwarnings(r"ignore:vmap\(grad\) fails for this model")
def test_branches_equal_the_loop():
    assert_equals_the_loop(Branches().eval(), X, Y, sketch_dim=8)


def test_methods_before_a_batch():
    sketcher = GradientSketcher(net(), sketch_dim=8)
    with pytest.raises(ValueError, match="methods: expected a batch to have been sketched before"):
        _ = sketcher.methods
    with pytest.raises(ValueError, match="batch: "):
        sketcher((X, Y + 9))
    with pytest.raises(ValueError, match="methods: expected a batch"):
        _ = sketcher.methods


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "fast"}, ValueError, "method: expected one of .*'hooks'.* got 'fast'"),
        ({"check": -1}, ValueError, "check: expected an int >= 0, got -1"),
        ({"check": True}, TypeError, "check: expected an int >= 0, got the bool True"),
        ({"micro_batch": 0}, ValueError, "micro_batch: expected an int >= 1, got 0"),
        ({"n_threads": 0}, ValueError, "n_threads: .* got 0"),
        ({"sketch": "dense"}, ValueError, "sketch: expected one of .* got 'dense'"),
        ({"sketch": "grouped-sign", "sketch_dim": 7}, ValueError, "sketch_dim: .* >= 8, got 7"),
        ({"sketch_dim": 36}, ValueError, "sketch_dim: .* number of chosen parameters, 35, got 36"),
        ({"sketch_dim": 0}, ValueError, "sketch_dim: expected an int >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed: .* got -1"),
        ({"nnz_per_row": 9}, ValueError, "nnz_per_row: .* got 9"),
        ({"loss": None}, ValueError, "loss: expected one of .* got None"),
        ({"targets": None}, ValueError, "targets: expected one of .* got None"),
    ],
)
def test_arguments(options, error, message):
    with pytest.raises(error, match=message):
        sketch(net(), **options)


def test_parameters_on_a_device_without_sketches():
    model = torch.nn.Linear(3, 2, device="meta").eval()
    with pytest.raises(ValueError, match=r"model: expected parameters on the CPU or a CUDA .*meta"):
        GradientSketcher(model, params="all", sketch_dim=4)
