"""The fingerprint sees what changes the numbers, and says what it cannot see."""

import functools
import io
import json
import sqlite3
import threading
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmm_fast.gradients import GradientSketcher
from skmm_fast.gradients.description import Description, is_installed
from skmm_fast.gradients.digests import digest
from skmm_fast.gradients.fingerprint import loss_of

nn, F = torch.nn, torch.nn.functional


def name_of(loss):
    return loss_of(loss)[0]


def unseen_of_loss(loss):
    return loss_of(loss)[1]


def of_gamma(gamma):
    def loss(out, y):
        ce = F.cross_entropy(out, y, reduction="none")
        return (1 - torch.exp(-ce)) ** gamma * ce

    return loss


def of_default(w):
    def loss(out, y, w=w):
        return F.cross_entropy(out, y, weight=w, reduction="none")

    return loss


def of_keyword(w):
    def loss(out, y, *, scale=w):
        return scale * F.cross_entropy(out, y, reduction="none")

    return loss


class Focal:
    def __init__(self, gamma):
        self.gamma = gamma

    def __call__(self, out, y):
        return of_gamma(self.gamma)(out, y)

    def method(self, out, y):
        return self(out, y)


class Slotted:
    __slots__ = ("gamma",)

    def __init__(self, gamma):
        self.gamma = gamma

    def __call__(self, out, y):
        return of_gamma(self.gamma)(out, y)


class OwnModule(nn.Module):
    def __init__(self, gamma):
        super().__init__()
        self.gamma = gamma

    def forward(self, out, y):
        return of_gamma(self.gamma)(out, y)


def with_global(gamma):
    """A loss that reads a value of its module."""
    code = "def loss(out, y):\n    return out.sum(1) * GAMMA"
    module = types.ModuleType("my_losses")
    exec(code, vars(module))
    module.GAMMA = gamma
    return module.loss


def with_helper(text):
    """A loss that calls a function of its module."""
    module = types.ModuleType("my_losses")
    exec(
        f"def helper(x):\n    return {text}\ndef loss(out, y):\n    return helper(out)",
        vars(module),
    )
    return module.loss


def through_module(gamma):
    """A loss that names a value of another module of the user."""
    other, module = types.ModuleType("my_settings"), types.ModuleType("my_losses")
    other.gamma = gamma
    module.settings = other
    exec("def loss(out, y):\n    return out.sum(1) * settings.gamma", vars(module))
    return module.loss


def teacher(scale):
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    with torch.no_grad():
        model.weight *= scale

    def loss(out, y):
        return (out - model(out)).square().mean(1)

    return loss


def ones(first):
    return torch.tensor([first, 1.0, 1.0])


LOSSES = {
    "weight": lambda w: nn.CrossEntropyLoss(weight=ones(w), reduction="none"),
    "label smoothing": lambda s: nn.CrossEntropyLoss(label_smoothing=s / 10, reduction="none"),
    "ignored label": lambda i: nn.CrossEntropyLoss(ignore_index=int(i), reduction="none"),
    "delta": lambda d: nn.HuberLoss(delta=d, reduction="none"),
    "closure": of_gamma,
    "closure over a tensor": lambda w: of_gamma(ones(w)),
    "closure over an object": lambda g: of_gamma(Focal(g)),
    "closure over a list": lambda g: of_gamma([{"a": [g]}]),
    "closure over a set": lambda g: of_gamma({g, "b", (1, 2)}),
    "closure over a closure": lambda g: of_gamma(of_gamma(g)),
    "closure over an array": lambda g: of_gamma(np.array([g])),
    "closure over objects in an array": lambda g: of_gamma(np.array([g, "a"], object)),
    "closure over a generator": lambda g: of_gamma(np.random.default_rng(int(g))),
    "a model that it holds": teacher,
    "default": lambda w: of_default(ones(w)),
    "keyword default": of_keyword,
    "callable object": Focal,
    "callable object with slots": Slotted,
    "bound method": lambda g: Focal(g).method,
    "module of one's own": OwnModule,
    "modules in a module": lambda g: nn.Sequential(nn.Identity(), OwnModule(g)),
    "partial": lambda s: functools.partial(F.cross_entropy, label_smoothing=s / 10),
    "partial of a closure": lambda g: functools.partial(of_gamma(g)),
    "global": with_global,
    "function that it calls": lambda g: with_helper(f"{g} * x.sum(1)"),
    "value of another module": through_module,
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_changes_a_loss_is_seen(kind):
    make = LOSSES[kind]
    assert name_of(make(1.0)) == name_of(make(1.0))
    assert name_of(make(1.0)) != name_of(make(5.0))
    assert unseen_of_loss(make(1.0)) == []
    assert " at 0x" not in name_of(make(1.0))


def test_an_error_can_show_what_differs():
    assert "label_smoothing=0.3" in name_of(nn.CrossEntropyLoss(label_smoothing=0.3))
    assert "; gamma=0.5" in name_of(of_gamma(0.5))
    assert name_of(F.mse_loss).startswith("torch.nn.functional.mse_loss")


@pytest.mark.parametrize(
    ("hidden", "kind"),
    [
        (lambda: sqlite3.connect(":memory:"), "Connection"),
        (threading.Lock, "lock"),
        (lambda: (i for i in range(3)), "generator"),
        (lambda: io.StringIO("a").__iter__(), ""),
    ],
)
def test_what_cannot_be_seen_is_named(hidden, kind):
    loss = of_gamma(hidden())
    unseen = unseen_of_loss(loss)
    if kind:
        assert len(unseen) == 1
        assert unseen[0].startswith("loss gamma: ")
        assert kind in unseen[0]


def test_values_that_hold_themselves_or_much():
    loop = [1]
    loop.append(loop)
    assert Description(loop).parts["[1]"] == "as the whole"
    assert Description(list(range(5))).unseen == []
    many = Description([[i] for i in range(20_000)])
    assert any("more than 10000 values" in what for what in many.unseen)


def test_whose_code_it_is():
    assert is_installed("torch.nn.functional")
    assert is_installed("numpy")
    assert is_installed("json")
    assert is_installed("builtins")
    assert not is_installed("__main__")
    assert not is_installed("nowhere")


class Packed(nn.Module):
    """A layer of packed weights, as attributes, and a scale."""

    def __init__(self):
        super().__init__()
        self.packed, self.scale = torch.arange(12, dtype=torch.int8).view(3, 4), 0.5
        self.table, self.bits = np.arange(3), {"high": [4, 8]}
        self.calls, self.last = 0, None
        self.extra = 1.0
        self.activation = torch.tanh

    def forward(self, x):
        self.calls, self.last = self.calls + 1, x.detach()
        return self.activation(x @ (self.packed.float() * self.scale).T)

    def get_extra_state(self):
        return {"extra": self.extra}

    def set_extra_state(self, state):
        self.extra = state["extra"]


def net():
    torch.manual_seed(0)
    return nn.Sequential(Packed(), nn.Linear(3, 3), nn.MultiheadAttention(4, 2)).eval()


def fingerprint(model):
    found = GradientSketcher(model, params="1.*", sketch_dim=4).fingerprint()
    assert json.loads(json.dumps(found)) == found
    return found


def set_scale(model):
    model[0].scale = 0.25


def set_packed(model):
    model[0].packed[0, 0] = 7


def set_table(model):
    model[0].table[1] = 9


def set_bits(model):
    model[0].bits["high"][1] = 2


def set_extra(model):
    model[0].extra = 2.0


def set_activation(model):
    model[0].activation = torch.sigmoid


def set_heads(model):
    model[2].num_heads = 4  # which print does not show


def set_hook(model):
    model[1].register_forward_hook(lambda module, inputs, output: output * 3)


@pytest.mark.parametrize(
    "change",
    [set_scale, set_packed, set_table, set_bits, set_extra, set_activation, set_heads],
)
def test_what_changes_a_model_is_seen(change):
    model = net()
    first = fingerprint(model)
    assert fingerprint(net()) == first
    change(model)
    now = fingerprint(model)
    assert {name for name in now if now[name] != first[name]} == {"model_state"}
    state, before = now["model_state"], first["model_state"]
    assert any(state[name] != before[name] for name in state)


def test_hooks_are_seen():
    models = net(), net()
    models[0][1].register_forward_hook(lambda module, inputs, output: output * 2)
    set_hook(models[1])
    first, second = (fingerprint(model)["model_state"] for model in models)
    assert {name for name in first if first[name] != second[name]} == {"1._forward_hooks[0]"}


def test_parts_of_the_model_are_not_described_again(monkeypatch):
    """As in the hooks of accelerate, which keep the method that they take the place of."""
    model = net()
    model[1].before = model[1].forward
    model[0].whole = {"of": model, "weight": model[1].weight}
    seen = []
    monkeypatch.setattr(
        "skmm_fast.gradients.description.digest", lambda value: seen.append(value) or digest(value)
    )
    first = fingerprint(model)["model_state"]
    assert {"0.whole", "1.before"} <= first.keys()
    assert not any(value is model[1].weight for value in seen)
    model[1].before = torch.tanh
    assert fingerprint(model)["model_state"]["1.before"] != first["1.before"]


def test_a_loss_that_is_a_method_of_the_model():
    model = OwnModule(2.0)
    model.head = nn.Linear(3, 3)

    def of(gamma):
        model.gamma = gamma
        sketcher = GradientSketcher(model.eval(), params="all", loss=model.forward, sketch_dim=4)
        return sketcher.fingerprint()

    first, second = of(2.0), of(3.0)
    assert {name for name in first if first[name] != second[name]} == {"model_state"}
    assert "as the whole" in first["loss"]


def test_a_text_of_many_parts_is_short():
    values = list(range(1000))
    texts = [str(Description([*values, last])) for last in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]
    assert len(texts[0]) < 1000


def test_results_of_a_forward_pass_are_no_settings():
    model = nn.Sequential(Packed(), nn.Linear(3, 3)).eval()
    sketcher = GradientSketcher(model, params="1.*", sketch_dim=4)
    found = []
    for _ in range(3):
        sketcher.forget()
        sketcher((torch.randn(5, 4), torch.arange(5) % 3))
        found.append(sketcher.fingerprint()["model_state"])
    assert found[0] == found[1] == found[2]
    assert "0.calls" not in found[0]
    assert "0.last" not in found[0]
    assert "0.scale" in found[0]


def test_the_code_of_classes_of_the_user():
    def model(text):
        space = {"nn": nn, "__name__": "my_model"}
        exec(
            "class Net(nn.Module):\n"
            "    def __init__(self):\n        super().__init__()\n"
            "        self.head = nn.Linear(3, 3)\n"
            f"    def forward(self, x):\n        return self.head(x) {text}",
            space,
        )
        torch.manual_seed(0)
        return GradientSketcher(space["Net"]().eval(), params="all", sketch_dim=4).fingerprint()

    assert model("* 2") == model("* 2")
    first, second = model("* 2"), model("* 3")
    assert {name for name in first if first[name] != second[name]} == {"model_state"}


def scripted(factor):
    class Part(nn.Module):
        def forward(self, x):
            return x * factor

    return torch.jit.trace(Part(), torch.ones(3))


def quantised(factor):
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():
        whole[0].weight *= factor
    return torch.ao.quantization.quantize_dynamic(whole, {nn.Linear}, dtype=torch.qint8)[0]


def transformer(factor):
    torch.manual_seed(0)
    return nn.TransformerEncoderLayer(4, 2, 8, norm_first=factor > 2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [scripted, quantised, transformer])
def test_modules_of_torch_that_print_does_not_show(make):
    def of(factor):
        part = make(factor)
        torch.manual_seed(0)
        model = nn.ModuleDict({"part": part, "head": nn.Linear(3, 3)}).eval()
        return GradientSketcher(model, params="head.*", sketch_dim=4).fingerprint()

    first, again, other = of(2.0), of(2.0), of(3.0)
    assert first == again
    assert first["advisory unseen"] == []
    assert {name for name in first if first[name] != other[name]} == {"model_state"}


@pytest.mark.filterwarnings("ignore")
def test_a_scripted_loss_is_its_code():
    def one(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.sum(1)

    def two(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out.sum(1) * 2

    names = [loss_of(torch.jit.script(loss)) for loss in (one, one, two)]
    assert names[0][1] == []
    assert names[0][0].split()[-1] == names[1][0].split()[-1] != names[2][0].split()[-1]


@pytest.mark.filterwarnings("ignore")
def test_digests_of_tensors_of_every_kind():
    x = torch.arange(6.0).view(2, 3)
    kinds = {
        "dense": x,
        "other": x + 1,
        "bfloat16": x.bfloat16(),
        "sparse": x.to_sparse(),
        "csr": x.to_sparse_csr(),
        "quantised": torch.quantize_per_tensor(x, 0.5, 1, torch.qint8),
        "quantised otherwise": torch.quantize_per_tensor(x, 0.25, 1, torch.qint8),
        "by channel": torch.quantize_per_channel(
            x, torch.tensor([0.5, 0.25]), torch.tensor([0, 1]), 0, torch.qint8
        ),
        "conjugate": torch.complex(x, x).conj(),
        "empty": torch.empty(0, 3),
    }
    digests = {name: digest(value) for name, value in kinds.items()}
    assert digests["sparse"] == digests["csr"] != digests["other"]
    assert len(set(digests.values())) >= len(kinds) - 2
    assert digest(x.T.contiguous().T) == digests["dense"]
