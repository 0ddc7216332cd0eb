"""A store on a disk where anything may lie: a file is the one that was written, or is refused."""

import json
import os

import numpy as np
import pytest
from support.damage import NOT_FILES, at_most

import skmm_fast as skmm
from skmm_fast import cli
from skmm_fast._support.claims import Claims
from skmm_fast.sketch.manifest import Manifest
from skmm_fast.sketch.store import SketchStore, made, prepared

N, M, SHARD_ROWS = 53, 4, 10
Z = np.random.default_rng(0).standard_normal((N, M)).astype(np.float32)
SHARD = "shard-00003.npy"


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    assert not prepared(folder)
    store = made(folder, Manifest(N, M, "float32", 4, SHARD_ROWS, {"seed": 1}), Claims(folder))
    for k in range(6):
        store._write(k, Z[SHARD_ROWS * k :][:SHARD_ROWS])
    return store


def uses(path):
    """The ways to read the store in a folder."""
    return {
        "open": lambda: SketchStore(path),
        "array": lambda: SketchStore(path).array(),
        "verify": lambda: SketchStore(path).verify(),
        "select": lambda: skmm.select(SketchStore(path), 8),
    }


def refused(path, said, capsys):
    """Every use of the store is one error, and of the command one line."""
    for use in uses(path).values():
        with at_most(20), pytest.raises(ValueError, match=said):
            use()
    for command in (["verify", str(path)], ["select", str(path), "-n", "5", "--out", "chosen"]):
        with at_most(20):
            assert cli.main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("skmm-fast: ")


@pytest.mark.parametrize("file", ["manifest.json", SHARD])
@pytest.mark.parametrize(("what", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_no_regular_file(store, file, what, make, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (store.path / file).unlink()
    make(store.path / file)
    refused(store.path, f"/{file}: expected a regular file, got {what}; put", capsys)
    if file == SHARD:
        for use in (store.array, store.verify, lambda: store.missing):
            with at_most(20), pytest.raises(ValueError, match=f"/{SHARD}: expected a regular"):
                use()


@pytest.mark.parametrize(("what", "make"), NOT_FILES.items(), ids=NOT_FILES)
def test_a_claim_that_is_no_file(store, what, make):
    (store.path / SHARD).rename(store.path / "aside")
    make(store.path / f"{SHARD}.claim")
    said = f"/{SHARD}.claim: expected a regular file, got {what}"
    with at_most(20), pytest.raises(ValueError, match=said):
        store._take(3, Claims(store.path))
    (store.path / "aside").rename(store.path / SHARD)
    assert np.array_equal(SketchStore(store.path).array(), Z)  # readers need no claim


def test_only_files_are_leftovers(store):
    """What a killed writer left is a file; a folder of that name is somebody's."""
    (store.path / "shard-00000.npy.mine.tmp").mkdir()
    os.mkfifo(store.path / "shard-00001.npy.fifo.tmp")
    (store.path / "else.npy.0a.tmp").write_bytes(b"somebody's")
    for name in ("shard-00000.npy.0a", "lengths-00001.npy.0a", "manifest.json.0a"):
        (store.path / f"{name}.tmp").write_bytes(b"half")
    (store.path / "shard-00002.npy.claim").write_text("half")
    store._clean(Claims(store.path))
    left = {f.name for pattern in ("*.tmp", "*.claim") for f in store.path.glob(pattern)}
    of_others = {"shard-00000.npy.mine.tmp", "shard-00001.npy.fifo.tmp", "else.npy.0a.tmp"}
    assert left == of_others


def test_links(store, tmp_path):
    """Links to what was written are read. A loop is an error that names the file; a link to
    nothing is a file that is missing."""
    file = store.path / SHARD
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert np.array_equal(SketchStore(store.path).array(), Z)
    file.unlink()
    file.symlink_to(SHARD)
    for use in uses(store.path).values():
        with pytest.raises(OSError, match=SHARD):
            use()
    file.unlink()
    file.symlink_to("nothing")
    assert SketchStore(store.path).missing == [3]
    (store.path / "manifest.json").unlink()
    (store.path / "manifest.json").symlink_to("manifest.json")
    for use in uses(store.path).values():
        with pytest.raises(OSError, match=r"manifest\.json"):
            use()


@pytest.mark.parametrize("file", ["manifest.json", SHARD])
def test_files_that_may_not_be_read(store, file, monkeypatch):
    """As root, for whom everything may be read, with an `open` of another user."""
    opened = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith(file):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    for use in uses(store.path).values():
        with pytest.raises(PermissionError, match=file):
            use()


def with_field(name, value):
    return lambda values: json.dumps({**values, name: value})


def without(name):
    return lambda values: json.dumps({k: v for k, v in values.items() if k != name})


NESTED = "[" * 100_000

MANIFESTS = {
    "nested lists": lambda values: NESTED,
    "nested objects": lambda values: '{"format":' * 100_000,
    "a nested fingerprint": lambda values: json.dumps(values).replace(
        '{"seed": 1}', '{"a":' * 400 + "1" + "}" * 400
    ),
    "NaN": with_field("fingerprint", {"seed": float("nan")}),
    "infinity": with_field("n_samples", float("inf")),
    "a float beyond all": lambda values: json.dumps(values).replace("53", "1e999"),
    "a name twice": lambda values: json.dumps(values)[:-1] + ', "n_samples": 53}',
    "no UTF-8": lambda values: b"\xff" + json.dumps(values).encode(),
    "UTF-16": lambda values: json.dumps(values).encode("utf-16"),
    "a list": lambda values: "[]",
    "a number": lambda values: "3",
    "null": lambda values: "null",
    "two values": lambda values: json.dumps(values) + "{}",
    "5000 digits": lambda values: json.dumps(values).replace("53", "9" * 5000),
    "a field more": with_field("more", 1),
    "no format": without("format"),
    "no fingerprint": without("fingerprint"),
    "no dtype": without("dtype"),
    "format 1.0": with_field("format", 1.0),
    "format True": with_field("format", True),
    "format '1'": with_field("format", "1"),
    "format null": with_field("format", None),
    "format of a list": with_field("format", [1]),
    "n_samples 0": with_field("n_samples", 0),
    "n_samples 10^18": with_field("n_samples", 10**18),
    "n_samples 2^63": with_field("n_samples", 2**63),
    "n_samples 10^400": with_field("n_samples", 10**400),
    "n_samples null": with_field("n_samples", None),
    "n_samples True": with_field("n_samples", True),
    "n_samples a list": with_field("n_samples", [53]),
    "sketch_dim 2^60": with_field("sketch_dim", 2**60),
    "sketch_dim a string": with_field("sketch_dim", "4"),
    "shard_rows -1": with_field("shard_rows", -1),
    "batch_size 0": with_field("batch_size", 0),
    "batch_size a float": with_field("batch_size", 4.0),
    "dtype f4": with_field("dtype", "f4"),
    "dtype a list": with_field("dtype", ["float32"]),
    "dtype objects": with_field("dtype", "object"),
    "dtype null": with_field("dtype", None),
    "fingerprint a list": with_field("fingerprint", []),
    "another checksum": with_field("checksum", "md5"),
    "checksum a list": with_field("checksum", ["crc32"]),
}


@pytest.mark.parametrize("change", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_that_are_none(store, change, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = store.path / "manifest.json"
    content = change(json.loads(file.read_text()))
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = r"/manifest.json: expected the manifest of a sketch store of format 1, got another file"
    refused(store.path, rf"{said} \(.{{1,300}}\); bring back the one that was written", capsys)


@pytest.mark.parametrize(
    "change",
    [{"n_samples": 50}, {"n_samples": 43}, {"batch_size": 5}, {"fingerprint": {"seed": 2}}],
)
def test_a_manifest_of_other_rows(store, change):
    """The checksums of shards begin with the manifest."""
    file = store.path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    for name, use in uses(store.path).items():
        if name != "open" or change == {"n_samples": 43}:  # the last shard has another size then
            with pytest.raises(ValueError, match=r"expected the rows that were written|of shape"):
                use()


def test_a_manifest_without_its_checksums(store):
    """Such are the manifests of the first versions, whose shards had no checksum."""
    file = store.path / "manifest.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in values.items() if k != "checksum"}))
    with pytest.raises(ValueError, match="got 15 bytes beyond its end; delete this file"):
        SketchStore(store.path)


def test_a_manifest_that_is_larger_than_any(store, monkeypatch):
    with (store.path / "manifest.json").open("r+b") as file:
        file.truncate((1 << 28) + 1)
    with at_most(60), pytest.raises(ValueError, match="more than 268435456 bytes"):
        SketchStore(store.path)


def test_sizes_of_a_store():
    given = {"sketch_dim": 4, "dtype": "float32", "batch_size": 4, "fingerprint": {}}
    Manifest(n_samples=10**9, shard_rows=1000, **given)
    with pytest.raises(
        ValueError, match="shard_rows: expected at most 1000000 shards, got 1000001"
    ):
        Manifest(n_samples=1_000_001, shard_rows=1, **given)
    with pytest.raises(ValueError, match=f"n_samples: expected rows of {2**63 - 1} bytes in all"):
        Manifest(n_samples=2**59, shard_rows=2**59, **given)
