"""Bars: as lines in a log, and in two phases."""

import sys

import pytest

from skmm_fast._support import progress

pytest.importorskip("tqdm")


@pytest.fixture
def hurried(monkeypatch):
    """Lines without a pause between them."""
    monkeypatch.setattr(progress, "LINES_APART", 0.0)


def texts(capsys):
    return [line.partition(" [")[0] for line in capsys.readouterr().err.splitlines()]


def test_a_log_has_a_line_for_each_state(hurried, capsys):
    with progress.bar("sketch", 4, True) as tick:
        for done in range(1, 4):
            tick(done)
    states = ["sketch:   0% 0.00/4.00", "sketch:  25% 1.00/4.00", "sketch:  50% 2.00/4.00"]
    assert texts(capsys) == [*states, "sketch:  75% 3.00/4.00", "sketch: 100% 4.00/4.00"]


def test_lines_are_thirty_seconds_apart(capsys):
    assert progress.LINES_APART == 30
    with progress.bar("sketch", 1000, True) as tick:
        for done in range(1000):
            tick(done)
    assert texts(capsys) == ["sketch:   0% 0.00/1.00k", "sketch: 100% 1.00k/1.00k"]


def test_a_bar_without_a_total_counts(hurried, capsys):
    with progress.bar("relaxation", None, True, "steps") as tick:
        tick(7)
    assert texts(capsys) == ["relaxation: 0.00 steps", "relaxation: 7.00 steps"]


def test_a_terminal_has_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.bar("sketch", 4, True) as tick:
        tick(2)
    assert "\r" in capsys.readouterr().err


def test_a_second_phase_counts_after_the_first(hurried, capsys):
    with progress.bar_then_count("choose rows", 3, "exchanges", True) as tick:
        for done in (1, 3, 4, 6, 9):
            tick(done)
    shown = texts(capsys)
    assert shown[:2] == ["choose rows:   0% 0.00/3.00", "choose rows:  33% 1.00/3.00"]
    assert shown[2] == "choose rows: 100% 3.00/3.00"
    assert shown[-1] == "exchanges: 5.00 exchanges"
    assert not any(line.startswith("choose rows") for line in shown[shown.index(shown[-1]) :])


def test_the_second_phase_need_not_come(hurried, capsys):
    with progress.bar_then_count("choose rows", 3, "exchanges", True) as tick:
        tick(1)
    assert texts(capsys)[-1] == "choose rows: 100% 3.00/3.00"


def test_an_error_leaves_a_bar_where_it_was(hurried, capsys):
    def work():
        with progress.bar("sketch", 4, True) as tick:
            tick(2)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert texts(capsys)[-1] == "sketch:  50% 2.00/4.00"


def test_nothing_is_shown_unasked(capsys):
    with (
        progress.bar("sketch", 4, False) as one,
        progress.bar_then_count("choose rows", 3, "exchanges", False) as two,
    ):
        assert one is None
        assert two is None
    assert texts(capsys) == []
