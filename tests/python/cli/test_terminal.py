"""The command's results reach the disk whatever becomes of what it prints."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skmm_fast as skmm
from skmm_fast.cli.terminal import Terminal, shown

pytest.importorskip("tqdm")

COMMAND = [sys.executable, "-c", "import sys; from skmm_fast.cli import main; sys.exit(main())"]
SELECT = ["select", "X.npy", "-n", "12", "--method", "v-optimal", "--out", "chosen.json"]


@pytest.fixture
def folder(tmp_path):
    X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    return tmp_path


def environment(**given):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONIO"))}
    path = str(Path(skmm.__file__).parents[1])  # the package that runs here
    kept["PYTHONPATH"] = os.pathsep.join([path, kept.get("PYTHONPATH", "")])
    return {**kept, "MPLBACKEND": "agg", **given}


def ours(folder):
    selection = skmm.Selection.load(folder / "chosen.json")
    expected = skmm.select(np.load(folder / "X.npy"), 12, method="v-optimal")
    assert np.array_equal(selection.indices, expected.indices)
    return selection


@pytest.mark.parametrize(
    "given",
    [
        {"PYTHONIOENCODING": "utf-8"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=lambda given: "-".join(given.values()),
)
def test_terminals_of_other_encodings(folder, given):
    done = subprocess.run(
        [*COMMAND, *SELECT], cwd=folder, env=environment(**given), capture_output=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    encoding = given.get("PYTHONIOENCODING", "ascii").partition(":")[0]
    said = done.stdout.decode(encoding)
    assert said.startswith(str(ours(folder).diagnosis.verdict))
    mean_error = next(line for line in said.splitlines() if line.startswith("mean gradient error"))
    assert mean_error.split()[3] == ("Φ" if encoding == "utf-8" else "Phi")
    assert ("tr(Σ̃ Σ̃_S⁻¹)" in said) == (encoding == "utf-8")
    assert "±" in said or (encoding == "ascii" and "+-" in said)
    assert "\\u" not in said
    assert "written: chosen.json" in said


@pytest.mark.parametrize("broken", ["stdout", "both"])
def test_a_closed_pipe_is_no_error(folder, broken):
    """The reader is gone before the command writes anything."""
    reader, writer = os.pipe()
    os.close(reader)
    files = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    files |= {name: writer for name in files if broken in (name, "both")}
    done = subprocess.run(
        [*COMMAND, *SELECT], cwd=folder, env=environment(), timeout=1800, check=False, **files
    )
    os.close(writer)
    assert done.returncode == 0
    assert not done.stderr or b"Error" not in done.stderr
    ours(folder)


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-"])
def test_streams_that_do_not_exist(folder, closed):
    script = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *SELECT],
        cwd=folder,
        env=environment(),
        timeout=1800,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    ours(folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_behind_stdout_is_reported_and_loses_nothing(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *SELECT],
            cwd=folder,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=1800,
        )
    assert done.returncode == 1
    assert b"skmm-fast: [Errno 28]" in done.stderr
    ours(folder)


def test_an_error_with_letters_that_the_terminal_lacks(folder):
    command = ["select", "ж.npy", "-n", "3", "--out", "c.json"]
    done = subprocess.run(
        [*COMMAND, *command],
        cwd=folder,
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        timeout=1800,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"skmm-fast: [Errno 2] No such file or directory: '\\u0436.npy'")


@pytest.mark.parametrize("out", ["X.npy/chosen.json", "/proc/nowhere/chosen.json"])
def test_a_place_that_cannot_be_written_is_an_error_before_the_work(folder, out, capsys):
    from skmm_fast import cli

    assert cli.main(["select", str(folder / "X.npy"), "-n", "5", "--out", str(folder / out)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "rows, m =" not in shown.err  # the plan, which is said before the work


def test_what_is_shown():
    text = "tr(Σ̃ Σ̃_S⁻¹) ± Φ r̄ ‖x‖ … 中"
    assert shown(text, "utf-8") == text
    assert shown(text, "ascii") == "tr(Sigma~ Sigma~_S^-1) +- Phi r ||x|| ... \\u4e2d"
    assert shown(text, "latin-1") == "tr(Sigma~ Sigma~_S^-¹) ± Phi r ||x|| ... \\u4e2d"
    assert shown("a name with \udcff", "utf-8") == "a name with \\udcff"


def test_a_stream_without_an_encoding():
    stream = io.StringIO()
    print("Φ", file=Terminal(stream))
    assert stream.getvalue() == "Φ\n"
    assert not Terminal(None).isatty()
    print("Φ", file=Terminal(None), flush=True)
