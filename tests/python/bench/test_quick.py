"""Headline figures: beside their targets and the last run; what a busy machine is."""

import pytest

import bench_busy
import common
import quick
from quick import Figure


def test_a_line_has_the_figure_its_target_and_the_last_one():
    assert quick.line(Figure("a", 0.5, "s"), None).split() == ["a", "0.5", "s"]
    met, missed = Figure("a", 1.0, "s", 1.0), Figure("a", 1.01, "s", 1.0)
    assert quick.line(met, None).split() == ["a", "1", "s", "target", "<=", "1:", "met"]
    assert quick.line(missed, 0.9).split()[-3:] == ["MISSED", "last", "0.9"]


def test_the_row_of_a_name():
    rows = [
        {"case": case, "who": who, "threads": k, "ns per entry": float(f"{n}.{k}")}
        for n, (case, who) in enumerate([("N = 1, r", "a"), ("N = 16, r", "a"), ("N = 1, r", "b")])
        for k in (1, 2)
    ]
    assert quick.ns_per_entry(rows, "a", 2, "N = 1,") == 0.2
    assert quick.ns_per_entry(rows, "b", 1) == 2.1
    with pytest.raises(ValueError, match="too many"):
        quick.ns_per_entry(rows, "a", 1)


def test_a_run_is_compared_with_the_last_on_the_same_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    for cpu, value, last in (("A", 1.5, None), ("B", 2.5, None), ("A", 3.5, 1.5)):
        for module in (common, quick):
            monkeypatch.setattr(module, "processor", lambda cpu=cpu: cpu)
        monkeypatch.setattr(quick, "figures", lambda value=value: [Figure("case", value, "s")])
        quick.main()
        said = capsys.readouterr().out
        assert f"{value} s" in said
        assert (f"last {last}" in said) == (last is not None)
        assert ("last" in said) == (last is not None)


def test_it_says_which_kernels_ran(monkeypatch):
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    assert not any("Warning" in text for text in quick.about())
    assert any("kernel " in text for text in quick.about())
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    assert any("Warning: OPENBLAS_CORETYPE=Prescott" in text for text in quick.about())


def test_a_busy_machine():
    with bench_busy.spinning(2) as processes:
        assert [process.poll() for process in processes] == [None, None]
    assert all(process.poll() is not None for process in processes)


def test_default_threads_beside_one(monkeypatch):
    monkeypatch.setattr(bench_busy, "in_turns", lambda calls, repeats: {
        who: call() is not None and 3.0 - (who == "one") for who, call in calls.items()
    })  # fmt: skip
    rows = bench_busy.busy((300, 5, 10), (4, 1000, 16))
    assert [row["x one thread"] for row in rows] == [1.5, 1.5]
    assert rows[0]["case"] == "select, N = 300, m = 5, n = 10"
