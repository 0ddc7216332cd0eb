"""The classes of a pool and of the rows chosen: counts, their shares, one line, on disk."""

from dataclasses import replace

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.methods.class_counts import ClassCounts
from skmm_fast.methods.labels import labels_of

N = 300
rng = np.random.default_rng(0)
Z = rng.standard_normal((N, 5))
WORDS = rng.choice(["ant", "bee", "cat", "dog"], N, p=[0.6, 0.25, 0.1, 0.05])


def counted(y, rows):
    """By definition: a number of rows for each class, in order."""
    return [sum(1 for i in rows if y[i] == name) for name in sorted(set(y))]


@pytest.mark.parametrize("diagnose", ["full", "fast"])
@pytest.mark.parametrize("method", ["auto", "v-optimal", "uniform", "class-balanced", "herding"])
def test_counts_by_their_definition(method, diagnose):
    found = skmm.select(Z, 40, method=method, y=WORDS, diagnose=diagnose, exclude=[0, 1])
    counts = found.diagnosis.class_counts
    assert counts.labels.tolist() == ["ant", "bee", "cat", "dog"]
    assert counts.pool.tolist() == counted(WORDS, range(N))
    assert counts.chosen.tolist() == counted(WORDS, found.indices)
    shares = [counts.chosen / 40, counts.pool / N]
    np.testing.assert_allclose(counts.ratios, shares[0] / shares[1])


def test_methods_of_the_user_and_diagnose_count_too():
    first = np.arange(30)
    found = skmm.select(Z, 30, method=lambda Z, n, seed: first, y=WORDS).diagnosis.class_counts
    by_hand = skmm.diagnose(Z, first[::-1], y=WORDS, bound=False).class_counts
    for counts in (found, by_hand):
        assert counts.chosen.tolist() == counted(WORDS, first)
    with pytest.raises(ValueError, match=r"^y: expected shape \(300,\), got \(7,\)"):
        skmm.diagnose(Z, first, y=WORDS[:7])


def test_there_are_none_without_classes():
    for y in (None, Z[:, 0], np.arange(N) / 2):
        diagnosis = skmm.select(Z, 40, y=y).diagnosis
        assert diagnosis.class_counts is None
        assert "classes" not in str(diagnosis)
    assert skmm.diagnose(Z, np.arange(9), bound=False).class_counts is None


def line_of(diagnosis):
    (line,) = (line for line in str(diagnosis).splitlines() if line.startswith("classes"))
    return line


def test_one_line_says_the_range_of_shares_and_what_is_missed():
    y = np.repeat([0, 1, 2, 3], [150, 75, 60, 15])
    rows = np.r_[:20, 150:154]  # 20 and 4 of 24 rows; halves and quarters of the pool
    line = line_of(skmm.diagnose(Z, rows, y=y, bound=False))
    assert line.split(maxsplit=1)[1] == (
        "4, with 0.667 to 1.67 x their share of the pool; 2 without a row"
    )
    rows = np.r_[:10, 150:155, 225:229, 285]  # 20 rows, each class its share
    line = line_of(skmm.diagnose(Z, rows, y=y, bound=False))
    assert line.split(maxsplit=1)[1] == "4, with 1 to 1 x their share of the pool"


def test_a_thousand_classes_are_short_in_print():
    diagnosis = skmm.diagnose(Z, np.arange(40), bound=False)
    many = ClassCounts.of(labels_of(np.arange(5000) % 1000, 5000), np.arange(40))
    diagnosis = replace(diagnosis, class_counts=many)
    assert len(line_of(diagnosis)) < 100
    assert "960 without a row" in line_of(diagnosis)
    assert len(repr(many)) < 100
    assert len(repr(diagnosis)) < 1500


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("y", [WORDS, np.arange(N) % 7, WORDS == "ant", np.arange(N) % 3 - 1.0])
def test_counts_are_saved_and_loaded(tmp_path, suffix, y):
    found = skmm.select(Z, 40, y=y, diagnose="fast")
    back = skmm.Selection.load(found.save(tmp_path / f"s{suffix}"))
    expected, counts = found.diagnosis.class_counts, back.diagnosis.class_counts
    for name in ("labels", "pool", "chosen"):
        assert np.array_equal(getattr(counts, name), getattr(expected, name))
        assert getattr(counts, name).dtype.kind == getattr(expected, name).dtype.kind
    assert str(back.diagnosis) == str(found.diagnosis)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_so_are_many_classes_and_none(tmp_path, suffix):
    X = np.random.default_rng(1).standard_normal((3000, 4))
    found = skmm.select(X, 50, method="uniform", y=np.arange(3000) % 1500, diagnose="fast")
    back = skmm.Selection.load(found.save(tmp_path / f"many{suffix}"))
    assert np.array_equal(back.diagnosis.class_counts.chosen, found.diagnosis.class_counts.chosen)
    found = skmm.select(X, 50, method="uniform", diagnose="fast")
    back = skmm.Selection.load(found.save(tmp_path / f"none{suffix}"))
    assert back.diagnosis.class_counts is None


def test_files_without_counts_are_read(tmp_path):
    """The first files of this format have none."""
    values = skmm.select(Z, 40, y=WORDS).diagnosis.plain()
    del values["class_counts"]
    assert skmm.Diagnosis.from_plain(values).class_counts is None
