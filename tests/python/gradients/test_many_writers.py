"""Several processes write one store: the bytes of one process, whatever happens to them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from skmm_fast import SketchStore
from skmm_fast.gradients import GradientSketcher, sketch_dataset

N, SHARD_ROWS = 70, 6  # 12 shards
WRITER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from test_many_writers import store
torch = __import__("torch")
torch.set_num_threads(1)
path, how, number, of = sys.argv[2:]
number, of = int(number), int(of)
if how == "group":
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{path}.meet", rank=number, world_size=of
    )
    made = store(path)
    assert made.complete
    torch.distributed.destroy_process_group()
elif how == "flags":
    made = store(path, num_shards=of, shard_id=number)
    assert not set(made._part(number, of)) & set(made.missing)
else:
    assert store(path).complete
"""


class Slow(torch.nn.Linear):
    """A layer whose forward pass takes so many seconds as the environment says."""

    def forward(self, x):
        time.sleep(float(os.environ.get("SLOW", "0")))
        return super().forward(x)


def store(path, **part):
    torch.manual_seed(0)
    model = Slow(5, 3).eval()
    data = torch.utils.data.TensorDataset(torch.randn(N, 5), torch.arange(N) % 3)
    sketcher = GradientSketcher(model, params="all", sketch_dim=6, n_threads=1)
    options = {"batch_size": 2, "shard_rows": SHARD_ROWS, "progress": False, **part}
    return sketch_dataset(sketcher, data, path, **options)


def started(path, how, of, slow=0.0):
    """The writers of all parts."""
    here = str(Path(__file__).parent)
    return [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, here, str(path), how, str(k), str(of)],
            env={**os.environ, "SLOW": str(slow)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for k in range(of)
    ]


def finished(writers):
    for writer in writers:
        _, said = writer.communicate(timeout=1800)
        assert writer.returncode == 0, said


def files(path):
    return {f.name: f.read_bytes() for f in Path(path).iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return files(store(tmp_path_factory.mktemp("whole")).path)


@pytest.mark.parametrize(
    ("how", "of"), [("group", 2), ("group", 3), ("group", 4), ("flags", 3), ("all of it", 3)]
)
def test_any_number_of_writers(tmp_path, whole, how, of):
    """As a process group, as parts, and each as if it were alone."""
    finished(started(tmp_path / "s", how, of))
    assert files(tmp_path / "s") == whole


def test_parts_one_after_the_other(tmp_path, whole):
    for number in (2, 0, 1):
        made = store(tmp_path / "s", num_shards=3, shard_id=number)
        assert len(made._part(number, 3)) == 4
        assert not set(made._part(number, 3)) & set(made.missing)
    assert files(tmp_path / "s") == whole


def test_more_parts_than_shards(tmp_path, whole):
    for number in range(20):
        store(tmp_path / "s", num_shards=20, shard_id=number)
    assert files(tmp_path / "s") == whole


def test_a_writer_killed_in_mid_shard(tmp_path, whole):
    """The others make their parts; it and other numbers of writers go on."""
    path = tmp_path / "s"
    writers = started(path, "flags", 3, slow=0.05)
    while not any(path.glob("shard-0000[4-7].npy.claim")):
        time.sleep(0.01)
    os.kill(writers[1].pid, signal.SIGKILL)
    writers[1].communicate()
    finished([writers[0], writers[2]])
    left = SketchStore(path).missing
    assert left
    assert set(left) <= set(range(4, 8))
    finished(started(path, "flags", 2))
    assert files(path) == whole


def test_what_a_killed_writer_has_claimed_is_made_by_the_other(tmp_path, whole):
    path = tmp_path / "s"
    (slow,) = started(path, "all of it", 1, slow=0.2)
    while not any(path.glob("shard-*.claim")):
        time.sleep(0.01)
    other = started(path, "all of it", 1)
    time.sleep(1)
    os.kill(slow.pid, signal.SIGKILL)
    slow.communicate()
    finished(other)
    assert files(path) == whole


def test_a_writer_waits_for_what_another_makes(tmp_path, whole, capsys):
    path = tmp_path / "s"
    store(path, num_shards=12, shard_id=0)
    elsewhere = path / "shard-00005.npy.claim"
    elsewhere.write_text("elsewhere\nboot\npid:[1]\n5\n17")
    os.utime(elsewhere, (time.time() - 239, time.time() - 239))  # gone a second from now
    assert store(path).complete
    said = capsys.readouterr().err
    assert "waiting for shard-00005.npy of " in said
    assert "which process 17 on elsewhere makes" in said
    assert files(path) == whole


def test_another_sketcher_meanwhile(tmp_path):
    store(tmp_path / "s", num_shards=2, shard_id=0)
    other = GradientSketcher(Slow(5, 3).eval(), params="all", sketch_dim=6)
    data = torch.utils.data.TensorDataset(torch.randn(N, 5), torch.arange(N) % 3)
    with pytest.raises(ValueError, match=r"^path: expected a store of this sketcher"):
        sketch_dataset(
            other, data, tmp_path / "s", batch_size=2, shard_rows=SHARD_ROWS, progress=False,
            num_shards=2, shard_id=1,
        )  # fmt: skip
    assert len(SketchStore(tmp_path / "s").missing) == 6


def test_loaders_with_workers(tmp_path):
    torch.manual_seed(1)
    data = torch.utils.data.TensorDataset(torch.randn(N, 5), torch.arange(N) % 3)
    loader = torch.utils.data.DataLoader(data, batch_size=4, num_workers=2)
    sketcher = GradientSketcher(torch.nn.Linear(5, 3).eval(), params="all", sketch_dim=6)
    for number in (0, 1):
        sketch_dataset(
            sketcher, loader, tmp_path / "parts", shard_rows=SHARD_ROWS, progress=False,
            num_shards=2, shard_id=number,
        )  # fmt: skip
    whole = sketch_dataset(sketcher, data, tmp_path / "whole", batch_size=4,
        shard_rows=SHARD_ROWS, progress=False)  # fmt: skip
    assert np.array_equal(SketchStore(tmp_path / "parts").array(), whole.array())


@pytest.mark.parametrize(
    ("part", "error", "said"),
    [
        ({"num_shards": 3}, ValueError, "num_shards: expected shard_id too"),
        ({"shard_id": 3}, ValueError, "shard_id: expected num_shards too"),
        ({"num_shards": 0, "shard_id": 0}, ValueError, "num_shards: expected an int >= 1"),
        ({"num_shards": 2, "shard_id": 2}, ValueError, r"shard_id: expected an int in \[0, 1\]"),
        ({"num_shards": 2, "shard_id": "1"}, TypeError, "shard_id: expected an int"),
        ({"num_shards": 2, "shard_id": 1, "resume": False}, ValueError, "resume: expected True"),
    ],
)
def test_errors(tmp_path, part, error, said):
    with pytest.raises(error, match=f"^{said}"):
        store(tmp_path / "s", **part)
