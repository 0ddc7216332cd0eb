"""Choose samples for a target task: a network that reads upright digits is to read digits turned by
a quarter, beside uniform draws: python examples/targeted.py     (needs torch and scikit-learn)
"""

import copy
from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import nn

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher

IMAGES, LABELS = torch.tensor(load_digits().images / 16).float(), torch.tensor(load_digits().target)
VIEWS = {"upright": lambda x: x, "turned": lambda x: x.mT.flip(1), "mirrored": lambda x: x.flip(2)}


def digits(view, rows):
    return VIEWS[view](IMAGES[rows]).flatten(1), LABELS[rows]


def trained(model, *sets):
    inputs, labels = map(torch.cat, zip(*sets, strict=True))
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()


right = {}
for split in range(5):
    torch.manual_seed(split)
    rows = torch.randperm(len(LABELS))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    model = trained(model, digits("upright", rows[:300]))
    parts = map(digits, VIEWS, rows[300:1200].split([630, 135, 135]))
    pool = tuple(map(torch.cat, zip(*parts, strict=True)))
    few, test = digits("turned", rows[1200:1220]), digits("turned", rows[1220:])
    sketcher = GradientSketcher(model, params="all", sketch_dim=256)
    Z, target = sketcher(pool), sketcher(few)
    features, of_target = (model[:2](inputs).detach() for inputs, _ in (pool, few))
    choose = partial(skmm.select, n=60, y=pool[1], seed=split, diagnose="none")
    chosen = {
        "uniform draws": choose(Z, method="uniform"),
        "no target": choose(Z),
        "target": choose(Z, target=target),
        "target, classes counted": choose(Z, target=target, per_class="proportional"),
        "target, v-optimal": choose(Z, target=target, method="v-optimal"),
        "target, less": choose(Z, target=target, method="less"),
        "target, rds by features": choose(features, target=of_target, method="rds"),
    }
    for way, selection in chosen.items():
        finetuned = trained(model, tuple(map(selection.subset, pool)), few)
        right.setdefault(way, []).append((finetuned(test[0]).argmax(1) == test[1]).float().mean())
for way, scores in right.items():
    print(f"{way:24} accuracy {torch.stack(scores).mean():.3f}")
