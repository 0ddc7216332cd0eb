"""Choose samples for a target task: a network that reads upright digits is to read digits turned by
a quarter, beside uniform draws: python examples/targeted.py     (needs torch and scikit-learn)
"""

import copy

import numpy as np
import torch
from sklearn.datasets import load_digits

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher

VIEWS = {"upright": lambda x: x, "turned": lambda x: x.mT.flip(1), "mirrored": lambda x: x.flip(2)}
nn = torch.nn
images, labels = map(torch.tensor, load_digits(return_X_y=True))
order = torch.from_numpy(np.random.default_rng(0).permutation(len(labels)))
images, labels = (images[order].reshape(-1, 8, 8) / 16).float(), labels[order]


def samples(view, rows):
    return VIEWS[view](images[rows]).flatten(1), labels[rows]


def joined(*sets):
    return tuple(map(torch.cat, zip(*sets, strict=True)))


def trained(model, inputs, labels):
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model.eval()


def accuracy(model, inputs, labels):
    return (model(inputs).argmax(1) == labels).float().mean().item()


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
model = trained(model, *samples("upright", slice(300)))
views = np.random.default_rng(1).choice(list(VIEWS), 900, p=[0.7, 0.15, 0.15])
pool = joined(*(samples(view, [300 + i]) for i, view in enumerate(views)))
few, test = samples("turned", slice(1200, 1220)), samples("turned", slice(1220, None))
sketcher = GradientSketcher(model, params="all", sketch_dim=256)
Z, target = sketcher(pool), sketcher(few)


def compare(name, **how):
    scores = []
    for seed in range(5):
        chosen = skmm.select(Z, 60, seed=seed, diagnose="none", **how)
        rows = pool[0][chosen.indices], pool[1][chosen.indices]
        alone, both = (trained(model, *train) for train in (rows, joined(rows, few)))
        turned = (views[chosen] == "turned").mean()
        scores.append((turned, accuracy(alone, *test), accuracy(both, *test)))
    print(
        f"{name:20} turned, accuracy, with the 20: %.2f, %.3f, %.3f" % (*np.mean(scores, axis=0),)
    )


compare("uniform draws", method="uniform")
compare("no target", y=pool[1])
compare("target", target=target)
compare("target, classes", target=target, y=pool[1], per_class="proportional")
for method in ("v-optimal", "less", "rds"):
    compare(f"target, {method}", target=target, method=method)
print(
    f"before {accuracy(model, *test):.3f}, on the 20 alone {accuracy(trained(model, *few), *test):.3f}"
)
