"""Diagonal scales of gradients against whole gradients that are multiplied with them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmm_fast.gradients import GradientSketcher, adam_scale

B, T = 6, 5
OPTIONS = {"params": "all", "loss": "mse", "sketch_dim": 32}


class Net(torch.nn.Module):
    """A layer of each shape that gradients are passed on in."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(20, 8, padding_idx=0)
        self.conv = torch.nn.Conv1d(8, 12, 3, padding=1, groups=2)
        self.norm = torch.nn.LayerNorm(12)
        self.tokens, self.head = torch.nn.Linear(12, 10), torch.nn.Linear(10, 4)
        self.own = torch.nn.Parameter(torch.randn(10))

    def forward(self, ids):
        x = self.conv(self.embed(ids).transpose(1, 2)).transpose(1, 2)
        return self.head((self.tokens(self.norm(x)).tanh() * self.own).mean(1))


def batch():
    torch.manual_seed(1)
    return torch.randint(0, 20, (B, T)), torch.randn(B, 4)


def whole_gradients(net, x, y):
    rows = []
    for i in range(len(x)):
        net.zero_grad()
        (net(x[i : i + 1]) - y[i : i + 1]).square().mean().backward()
        rows.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    return torch.stack(rows)


def scales_of(net):
    torch.manual_seed(2)
    return {name: torch.rand_like(p) + 0.1 for name, p in net.named_parameters()}


@pytest.mark.parametrize("method", ["auto", "vmap", "loop"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_those_of_scaled_gradients(method, dtype):
    net = Net().to(dtype).eval()
    x, y = batch()
    y = y.to(dtype)
    scales = scales_of(net)
    sketcher = GradientSketcher(net, scale=scales, method=method, **OPTIONS)
    Z = sketcher((x, y))
    D = torch.cat([scales[name].flatten() for name, _ in net.named_parameters()])
    expected = sketcher.sketch.apply(whole_gradients(net, x, y) * D)
    np.testing.assert_allclose(Z, expected, rtol=1e-4, atol=1e-5)
    if method == "auto":
        assert sketcher.methods["tokens.weight"] == sketcher.methods["embed.weight"] == "hooks"
    by_function = GradientSketcher(
        net, scale=lambda name, p: scales[name], method=method, **OPTIONS
    )
    assert torch.equal(by_function((x, y)), Z)


def test_a_single_vector_a_sample():
    torch.manual_seed(0)
    net = torch.nn.Linear(7, 3).eval()
    x, y = torch.randn(B, 7), torch.randn(B, 3)
    scales = scales_of(net)
    sketcher = GradientSketcher(net, scale=scales, **OPTIONS | {"sketch_dim": 16})
    D = torch.cat([scales["weight"].flatten(), scales["bias"]])
    expected = sketcher.sketch.apply(whole_gradients(net, x, y) * D)
    np.testing.assert_allclose(sketcher((x, y)), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_the_scale_of_adam(kind):
    net = Net()
    x, y = batch()
    optimizer = kind(net.parameters(), lr=1e-2, betas=(0.8, 0.9), eps=1e-4)
    squares = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    for _ in range(3):
        optimizer.zero_grad()
        (net(x) - y).square().mean().backward()
        for name, p in net.named_parameters():
            squares[name] = 0.9 * squares[name] + 0.1 * p.grad**2
        optimizer.step()
    expected = {
        name: (square > 0) / ((square / (1 - 0.9**3)).sqrt() + 1e-4)
        for name, square in squares.items()
    }
    by_hand = GradientSketcher(net.eval(), scale=expected, **OPTIONS)((x, y))
    sketcher = GradientSketcher(net, scale=adam_scale(optimizer), **OPTIONS)
    torch.testing.assert_close(sketcher((x, y)), by_hand, rtol=1e-4, atol=1e-4)


def test_a_wrapped_optimizer_and_other_names_of_tied_parameters():
    accelerate = pytest.importorskip("accelerate")
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    net[1].weight = net[0].weight
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.randn(B, 4)).square().sum().backward()
    optimizer.step()
    wrapped = accelerate.Accelerator(cpu=True).prepare_optimizer(optimizer)
    batch, options = (torch.randn(B, 4), torch.randn(B, 4)), OPTIONS | {"sketch_dim": 8}
    both = [
        GradientSketcher(net.eval(), scale=adam_scale(o), **options)(batch)
        for o in (optimizer, wrapped)
    ]
    assert torch.equal(*both)
    GradientSketcher(net, scale=net.state_dict(), **options)(batch)


def test_the_fingerprint_sees_the_scale():
    net = Net().eval()
    scales = scales_of(net)

    def fingerprint(scale):
        sketcher = GradientSketcher(net, scale=scale, **OPTIONS)
        sketcher(batch())
        return sketcher.fingerprint()

    plain, one = fingerprint(None), fingerprint(scales)
    assert "scale" not in plain
    assert one == fingerprint(dict(scales))
    assert one["scale"] != fingerprint({**scales, "own": scales["own"] + 1})["scale"]


@pytest.mark.parametrize(
    ("change", "error", "what"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "own"}, ValueError, "got none for 'own'"),
        (lambda s: {**s, "other": s["own"]}, ValueError, "got 'other'"),
        (lambda s: {**s, "own": s["own"][:3]}, ValueError, r"shape \(10,\) for 'own', got \(3,\)"),
        (lambda s: {**s, "own": 3}, ValueError, "for 'own', got int"),
        (lambda s: {**s, "own": s["own"] * torch.nan}, ValueError, "finite numbers for 'own'"),
        (lambda s: 3, TypeError, "scale: expected a dict of tensors, a function, or"),
        (lambda s: lambda name, p: None, ValueError, "got NoneType"),
    ],
)
def test_errors(change, error, what):
    net = Net().eval()
    with pytest.raises(error, match=what):
        GradientSketcher(net, scale=change(scales_of(net)), **OPTIONS)


def test_an_optimizer_without_steps_has_no_scale():
    net = Net().eval()
    scale = adam_scale(torch.optim.Adam(net.parameters()))
    with pytest.raises(ValueError, match="scale: expected an optimizer that has made a step"):
        GradientSketcher(net, scale=scale, **OPTIONS)
