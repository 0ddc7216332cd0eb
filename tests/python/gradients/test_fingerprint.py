"""What sketches depend on: equal in every process, different where they would be."""

import copy
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

from skmm_fast.gradients import GradientSketcher

nn, F = torch.nn, torch.nn.functional

TARGETS = ["query", "key", "value", "gate", "up", "down"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        for name in TARGETS:
            self.add_module(name, nn.Linear(4, 4))
        self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x):
        for name in TARGETS:
            x = torch.tanh(self.get_submodule(name)(x)) * self.scale
        return self.head(self.norm(x))


def net():
    torch.manual_seed(0)
    return Net().eval()


def adapted(**options):
    options = {"r": 2, "target_modules": TARGETS, "modules_to_save": ["head", "norm"], **options}
    return peft.get_peft_model(net(), peft.LoraConfig(**options)).eval()


def fingerprint(model, **options):
    options = {"sketch_dim": 8, **options}
    found = GradientSketcher(model, **options).fingerprint()
    assert json.loads(json.dumps(found)) == found
    return found


def different(a, b):
    return {name for name in a.keys() | b.keys() if a.get(name) != b.get(name)}


def test_equal_models_in_two_processes():
    """PEFT keeps its settings in sets, whose order is that of a process."""
    code = (
        "import json, test_fingerprint as t\n"
        "print(json.dumps(t.fingerprint(t.adapted(), params='*lora_B*')))"
    )
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, str(Path(here).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "12"},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert different(found, fingerprint(adapted(), params="*lora_B*")) == set()


def test_equal_models():
    model = net()
    first = fingerprint(model)
    assert fingerprint(copy.deepcopy(model)) == first
    sketcher = GradientSketcher(model, sketch_dim=8)
    sketcher((torch.randn(3, 4), torch.arange(3)))
    assert different(sketcher.fingerprint(), first) == {"methods"}
    sketcher.forget()
    assert sketcher.fingerprint() == first
    for p in model.parameters():
        p.requires_grad_(False)
        p.grad = torch.ones_like(p)
    assert fingerprint(model, check=0, n_threads=1) == first


@pytest.mark.parametrize("name", ["query.weight", "head.bias", "norm.running_var", "scale"])
def test_weights_and_buffers(name):
    """Also of parameters that are not chosen: the gradients of the others depend on them."""
    model = net()
    first = fingerprint(model, params="last")
    x = dict([*model.named_parameters(), *model.named_buffers()])[name]
    with torch.no_grad():
        x.view(-1)[-1] += 1e-6 if x.ndim else 1
    assert different(first, fingerprint(model, params="last")) == {"weights"}


def own(output, labels):
    return F.cross_entropy(output, labels, reduction="none")


def other(output, labels):
    return 2 * own(output, labels)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"params": "all"}, {"params", "in_dim"}),
        ({"params": ["head.weight", "down.bias", "down.weight"]}, {"params", "in_dim"}),
        ({"loss": "mse"}, {"loss"}),
        ({"loss": own}, {"loss"}),
        ({"targets": "random"}, {"targets"}),
        ({"targets": "uniform"}, {"targets"}),
        ({"seed": 1}, {"seed"}),
        ({"sketch_dim": 9}, {"out_dim"}),
        ({"nnz_per_row": 4}, {"nnz_per_row"}),
        ({"sketch": "gaussian"}, {"sketch", "nnz_per_row"}),
        ({"sketch": "grouped-sign"}, {"sketch", "nnz_per_row"}),
        ({"method": "loop"}, {"method"}),
        ({"micro_batch": 3}, {"micro_batch"}),
    ],
)
def test_settings(options, fields):
    assert different(fingerprint(net()), fingerprint(net(), **options)) == fields


def test_order_of_parameters():
    """The coordinates of a gradient are in the order of the model."""
    model, turned = nn.Module(), nn.Module()
    for name in "ab":
        model.add_module(name, nn.Linear(2, 2))
    for name in "ba":
        turned.add_module(name, model.get_submodule(name))
    fields = different(
        fingerprint(model.eval(), params="all"), fingerprint(turned.eval(), params="all")
    )
    assert "params" in fields
    assert fingerprint(model, params=["a.*", "b.*"]) == fingerprint(model, params=["b.*", "a.*"])


def test_types():
    assert different(fingerprint(net()), fingerprint(net().double())) == {
        "params",
        "dtype",
        "weights",
    }
    assert "params" in different(fingerprint(net()), fingerprint(net().bfloat16()))
    with torch.autocast("cpu", torch.bfloat16):
        low = fingerprint(net())
    assert different(fingerprint(net()), low) == {"autocast"}


def test_losses_of_ones_own():
    losses = [
        own,
        other,
        nn.CrossEntropyLoss(reduction="none"),
        functools.partial(F.cross_entropy, reduction="none"),
        functools.partial(F.cross_entropy, reduction="none", label_smoothing=0.1),
    ]
    names = [fingerprint(net(), loss=loss)["loss"] for loss in losses]
    assert len(set(names)) == len(names)
    assert "test_fingerprint.own " in names[0]
    assert not any(" at 0x" in name for name in names)


def test_the_architecture():
    """Settings without weights."""
    first, second = (
        nn.Sequential(nn.Linear(3, 4), activation).eval() for activation in (nn.ReLU(), nn.GELU())
    )
    second.load_state_dict(first.state_dict())
    options = {"params": "all", "sketch_dim": 4}
    assert different(fingerprint(first, **options), fingerprint(second, **options)) == {
        "architecture"
    }


def test_code_of_losses():
    def of(loss):
        return fingerprint(net(), loss=loss)["loss"]

    losses = [lambda out, y: out.sum(1), lambda out, y: out.mean(1)]
    assert of(losses[0]) != of(losses[1])
    assert of(losses[0]) == of(lambda out, y: out.sum(1))


def test_adapters():
    plain, model = net(), adapted()
    assert fingerprint(plain)["adapters"] is None
    first = fingerprint(model, params="*lora_B*")
    assert different(first, fingerprint(adapted(), params="*lora_B*")) == set()
    for options in ({"lora_alpha": 3}, {"modules_to_save": ["head"]}, {"use_rslora": True}):
        assert "adapters" in different(first, fingerprint(adapted(**options), params="*lora_B*"))
    assert "adapters" not in different(first, fingerprint(model, params="*query*lora_B*"))

    model.add_adapter("second", peft.LoraConfig(r=2, target_modules=TARGETS))
    two = fingerprint(model.eval(), params="*lora_B.default*")
    model.set_adapter("second")
    changed = different(two, fingerprint(model, params="*lora_B.default*"))
    assert {"adapters"} <= changed <= {"adapters", "model_state"}  # PEFT's modules may name it too
