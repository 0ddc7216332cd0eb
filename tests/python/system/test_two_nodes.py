"""Two network namespaces as two nodes, on which torchrun starts the command; a link that is cut.

Needs the right to make network namespaces.
"""

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("torch")

from skmm_fast import Selection, SketchStore, select
from skmm_fast._support.claims import Claims
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import made, prepared

N, M = 6000, 8
NODES = {"skmm-a": "10.91.7.1", "skmm-b": "10.91.7.2"}


def ip(*arguments, check=True):
    command = ["ip", *arguments]
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=20)


@pytest.fixture
def nodes():
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs root and ip, of iproute2")
    if ip("netns", "add", "skmm-a", check=False).returncode:
        pytest.skip("network namespaces cannot be made here")
    try:
        ip("netns", "add", "skmm-b")
        ip("link", "add", "skmm0", "netns", "skmm-a", "type", "veth", "peer", "name", "skmm0",
           "netns", "skmm-b")  # fmt: skip
        for node, address in NODES.items():
            ip("-n", node, "addr", "add", f"{address}/24", "dev", "skmm0")
            ip("-n", node, "link", "set", "skmm0", "up")
            ip("-n", node, "link", "set", "lo", "up")
        yield NODES
    finally:
        for node in NODES:
            ip("netns", "del", node, check=False)


@pytest.fixture
def store(tmp_path):
    prepared(tmp_path / "store")
    store = made(
        tmp_path / "store", Manifest(N, M, "float32", 1000, 1000, {}), Claims(tmp_path / "store")
    )
    rng = np.random.default_rng(0)
    for k in store.missing:
        store._write(k, rng.standard_normal((1000, M)).astype(np.float32))
    return tmp_path / "store"


def started(nodes, *command):
    """Two processes on each node, by torchrun's rendezvous."""
    paths = os.pathsep.join(p for p in sys.path if p)
    return [
        subprocess.Popen(
            ["ip", "netns", "exec", node, sys.executable, "-m", "torch.distributed.run",
             "--nnodes", "2", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
             "--rdzv-endpoint", "10.91.7.1:29517", "--local-addr", nodes[node],
             "--rdzv-conf", f"is_host={int(nodes[node] == '10.91.7.1')}",
             "--max-restarts", "0", *map(str, command)],
            env={**os.environ, "PYTHONPATH": paths, "GLOO_SOCKET_IFNAME": "skmm0",
                 "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for node in nodes
    ]  # fmt: skip


def test_torchrun_on_two_nodes(nodes, store, tmp_path):
    processes = started(
        nodes, "-m", "skmm_fast", "select", store, "-n", 60, "--method", "v-optimal",
        "--out", tmp_path / "chosen.json",
    )  # fmt: skip
    said = [process.communicate(timeout=240)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    expected = select(SketchStore(store), 60, method="v-optimal").indices
    assert np.array_equal(Selection.load(tmp_path / "chosen.json").indices, expected)


def test_a_link_that_is_cut(nodes, store, tmp_path):
    """The processes of both sides end with an error. (torchrun's own agents wait for longer.)"""
    script = tmp_path / "endless.py"
    script.write_text(
        "import datetime, os, pathlib, torch\n"
        "import skmm_fast as skmm\n"
        "torch.distributed.init_process_group('gloo', timeout=datetime.timedelta(seconds=5))\n"
        f"folder, rank = pathlib.Path({str(tmp_path)!r}), os.environ['RANK']\n"
        f"store = skmm.SketchStore({str(store)!r})\n"
        "try:\n"
        "    while True:\n"
        "        skmm.select(store, 60, method='moment-matching', diagnose='none')\n"
        "        (folder / 'begun').touch()\n"
        "except Exception as error:\n"
        "    (folder / f'new-{rank}').write_text(f'{type(error).__name__}: {error}')\n"
        "    (folder / f'new-{rank}').rename(folder / f'ended-{rank}')\n"
    )
    processes = started(nodes, script)
    try:
        waited(lambda: (tmp_path / "begun").exists())
        ip("-n", "skmm-b", "link", "set", "skmm0", "down")
        waited(lambda: len(list(tmp_path.glob("ended-*"))) == 4)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    for rank in range(4):
        said = (tmp_path / f"ended-{rank}").read_text()
        assert said.startswith("RankError: "), said


def waited(done, seconds=100):
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.2)
    assert done()
