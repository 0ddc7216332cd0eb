"""A selection as an array, in a terminal and in a notebook."""

import numpy as np
import pytest

import skmm_fast as skmm

X = np.random.default_rng(0).standard_normal((400, 8))
y = np.arange(400) % 3
SELECTION = skmm.select(X, 40, y=y)


def test_it_is_its_row_numbers():
    assert len(SELECTION) == 40
    assert list(SELECTION) == SELECTION.indices.tolist()
    assert np.array_equal(np.asarray(SELECTION), SELECTION.indices)
    assert np.asarray(SELECTION, dtype=np.int32).dtype == np.int32
    for copied in (np.array(SELECTION), np.asarray(SELECTION)):
        copied[0] = -1
        assert SELECTION.indices[0] >= 0
    assert np.array_equal(X[SELECTION], X[SELECTION.indices])


def test_it_indexes_what_users_have():
    torch, pd = pytest.importorskip("torch"), pytest.importorskip("pandas")
    assert torch.equal(torch.from_numpy(X)[np.asarray(SELECTION)], torch.from_numpy(X[SELECTION]))
    assert pd.DataFrame(X).iloc[SELECTION].index.tolist() == list(SELECTION)


def test_five_lines_and_a_verdict():
    lines = repr(SELECTION).splitlines()
    assert lines[0] == 'Selection of 40 of 400 rows by "auto"'
    sketched = str(skmm.select(X, 40, method="v-optimal", sketch_dim=4)).splitlines()[0]
    assert sketched == (
        f'Selection of 40 of 400 rows by "v-optimal", sketched from {X.shape[1]} to 4 dimensions'
    )
    assert lines[1].strip() == SELECTION.diagnosis.verdict
    assert lines[2].startswith("  mean gradient error Φ: ")
    assert len(lines) == 5
    assert max(map(len, lines)) < 250


@pytest.mark.parametrize("diagnose", ["none", "fast"])
def test_without_figures(diagnose):
    selection = skmm.select(X, 40, diagnose=diagnose)
    assert len(repr(selection).splitlines()) <= 5
    assert "nan" not in repr(selection)
    assert "nan" not in selection._repr_html_()


def test_a_table_for_notebooks():
    shown = SELECTION._repr_html_()
    assert shown.count("<tr>") == shown.count("</tr>") >= 5
    assert "classes" in shown
    odd = skmm.select(X, 40, method=lambda Z, n, seed: np.arange(n))
    assert "&lt;lambda&gt;" in odd._repr_html_()
    assert "<lambda>" not in odd._repr_html_()
