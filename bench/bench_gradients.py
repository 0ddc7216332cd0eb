"""Sketched per-sample gradients, from a batch of inputs to Z, on the CPU.

ResNet18's last two layers (r = 2 459 844), images of 224 x 224, and a linear probe of 512 features
and 196 classes (r = 100 548), m = 512. Each contender is a process of its own, in turn with the
others; the median of all calls. Memory: the peak above what model, data and libraries take.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.func import functional_call, grad, vmap

from common import peak_rss, save
from models import probe, resnet18
from skmm_fast import SparseSign
from skmm_fast.gradients import GradientSketcher
from skmm_fast.gradients.sketch_accumulator import SketchAccumulator

M = 512
RESNET, PROBE = "ResNet18, last two layers", "linear probe"
SIZES = {RESNET: (64,), PROBE: (64, 1024)}


def task(name, B):
    """Model, inputs, labels, names of the chosen parameters."""
    torch.manual_seed(1)
    y = torch.randint(0, 196, (B,))
    if name == PROBE:
        return probe(512, 196), torch.randn(B, 512), y, ["weight", "bias"]
    net = resnet18(196)
    return net, torch.randn(B, 3, 224, 224), y, ["11.conv2.weight", "14.weight", "14.bias"]


def materialise(net, names, chunk_size):
    """(x, y) -> G (B, r) by vmap(grad)."""
    params = {k: p.detach() for k, p in net.named_parameters() if k in names}

    def loss(params, x, y):
        out = functional_call(net, params, (x[None],))
        return torch.nn.functional.cross_entropy(out, y[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0), chunk_size=chunk_size)
    return lambda x, y: torch.cat([g.flatten(1) for g in each(params, x, y).values()], 1)


def stored_gaussian(net, x, y, names, chunk_size=None):
    G = materialise(net, names, chunk_size)
    gamma = torch.randn(sum(p.numel() for k, p in net.named_parameters() if k in names), M)
    return lambda: G(x, y) @ gamma


def stored_gaussian_in_chunks(net, x, y, names):
    return stored_gaussian(net, x, y, names, chunk_size=8)


def materialised_signs(net, x, y, names):
    G = materialise(net, names, None)
    S = SparseSign(sum(p.numel() for k, p in net.named_parameters() if k in names), M)
    return lambda: S.apply(G(x, y))


def ours(sketch):
    def contender(net, x, y, names):
        sketcher = GradientSketcher(net, params=names, sketch_dim=M, sketch=sketch)
        return lambda: sketcher((x, y))

    return contender


def forward(net, x, y, names):
    @torch.no_grad()
    def call():
        for part in x.split(8 if x.ndim > 2 else len(x)):
            net(part)

    return call


CONTENDERS = {
    "vmap(grad), Gaussian Γ stored": stored_gaussian,
    "the same, 8 samples at a time": stored_gaussian_in_chunks,
    "vmap(grad), our SparseSign": materialised_signs,
    "skmm-fast, SparseSign": ours("sparse-sign"),
    "skmm-fast, GroupedSign": ours("grouped-sign"),
    "forward pass alone": forward,
}


class Clock:
    """Seconds inside some methods of SketchAccumulator."""

    def __init__(self):
        self.seconds = 0.0
        for name in ("dense", "_outer", "rows"):
            setattr(SketchAccumulator, name, self.timed(getattr(SketchAccumulator, name)))

    def timed(self, method):
        def call(*args):
            began = time.perf_counter()
            method(*args)
            self.seconds += time.perf_counter() - began

        return call


def one(name, B, who, repeats):
    """Seconds of each call, those in the sketch, bytes."""
    net, x, y, names = task(name, B)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = peak_rss()
    call = CONTENDERS[who](net, x, y, names)
    call()
    clock, times, sketch = Clock(), [], []
    for _ in range(repeats):
        clock.seconds, began = 0.0, time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
        sketch.append(clock.seconds)
    print(json.dumps([times, sketch, peak_rss() - before]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, B, who, repeats = args.one
        return one(name, int(B), who, int(repeats))
    rows = []
    for name, sizes in SIZES.items():
        for B in sizes:
            runs = {who: [] for who in CONTENDERS}
            for _ in range(args.rounds):
                for who, found in runs.items():
                    command = [sys.executable, __file__, "--one", name, str(B), who]
                    repeats = "3" if name == RESNET else "15"
                    found.append(json.loads(subprocess.check_output([*command, repeats])))
            medians = {
                who: statistics.median(t for times, _, _ in found for t in times)
                for who, found in runs.items()
            }
            for who, found in runs.items():
                took = medians[who]
                row = {
                    "task": name,
                    "B": B,
                    "who": who,
                    "seconds": took,
                    "samples/s": B / took,
                    "x the first": medians["vmap(grad), Gaussian Γ stored"] / took,
                    "extra memory, MB": max(memory for _, _, memory in found) / 1e6,
                }
                if who.startswith("skmm"):
                    sketch = statistics.median(t for _, times, _ in found for t in times)
                    in_forward = medians["forward pass alone"]
                    row["forward"] = in_forward / took
                    row["backward and products"] = 1 - (in_forward + sketch) / took
                    row["sketch"] = sketch / took
                rows.append(row)
    save("gradients", rows)


if __name__ == "__main__":
    main()
