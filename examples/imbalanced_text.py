"""Choose 100 of 4000 labelled texts of uneven classes, with three rules for the counts of the
classes, beside uniform draws: python examples/imbalanced_text.py     (needs scikit-learn)
"""

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import skmm_fast as skmm

CLASSES = np.array(["delivery", "payment", "account", "returns", "fraud"])
SHARES = [0.55, 0.25, 0.12, 0.06, 0.02]
SYLLABLES = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "tu"]


def drawn(rng, count, size, power):
    weights = 1 / np.arange(1, count + 1) ** power
    return rng.choice(count, size, p=weights / weights.sum())


def corpus(count, wrong, seed):
    """Messages of 6 to 24 invented words, and labels, a share of which is drawn anew."""
    rng = np.random.default_rng(seed)
    labels, texts = rng.choice(5, count, p=SHARES), []
    for label in labels:
        size = rng.integers(6, 25)
        common = drawn(rng, 300, size, 1.0)
        own = 300 + 42 * label + drawn(rng, 60, size, 0.7)  # 18 of 60 are of the next class too
        words = np.where(rng.random(size) < 0.35, own, common)
        texts.append(" ".join("".join(SYLLABLES[int(d)] for d in f"{w:03}") for w in words))
    anew = rng.choice(5, count, p=SHARES)
    return texts, CLASSES[np.where(rng.random(count) < wrong, anew, labels)]


texts, y = corpus(4000, wrong=0.03, seed=0)
test_texts, y_test = corpus(2000, wrong=0.0, seed=1)
lsa = make_pipeline(TfidfVectorizer(), TruncatedSVD(64, random_state=0), Normalizer())
X, X_test = lsa.fit_transform(texts), lsa.transform(test_texts)


def compare(name, weighted=False, **how):
    scores = []
    for seed in range(6):
        chosen = skmm.select(X, 100, y=y, seed=seed, diagnose="none", **how)
        weights = chosen.weights if weighted else None
        head = LogisticRegression(C=10).fit(X[chosen], y[chosen], weights)
        found = head.predict(X_test)
        scores.append((accuracy_score(y_test, found), f1_score(y_test, found, average="macro")))
    print(f"{name:26} accuracy, macro-F1: %.3f, %.3f" % tuple(np.mean(scores, axis=0)))


compare("uniform draws", method="uniform")
for counts in ("proportional", "sqrt", "balanced"):
    compare(f"uniform, {counts}", method="uniform", per_class=counts)
    compare(f"chosen, {counts}", pilot="linear", per_class=counts)
compare("chosen, balanced, weighted", weighted=True, pilot="linear", per_class="balanced")
