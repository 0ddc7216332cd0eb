"""`Selection.load` takes what `save` wrote, and refuses every other file with one error."""

import io
import json
import warnings
import zipfile

import numpy as np
import pytest
from support.damage import NOT_FILES, at_most

import skmm_fast as skmm

X = np.random.default_rng(0).standard_normal((60, 6))
SELECTION = skmm.select(X, 12, y=np.arange(60) % 3)
REFUSED = r"path: expected a selection of format [23], got .*chosen\.(npz|json) \(.*\); bring back"


def members_of(path):
    """Name -> array of an .npz."""
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(params=["npz", "json"])
def saved(request, tmp_path):
    return SELECTION.save(tmp_path / f"chosen.{request.param}")


def changed(path, change):
    """Write the file again, after a change of its values: of a dictionary with settings, diagnosis,
    format, and the arrays under "arrays"."""
    if path.suffix == ".json":
        values = json.loads(path.read_text())
        lists = {name: values.pop(name) for name in ("indices", "weights")}
        values["arrays"] = {name: np.array(x) for name, x in lists.items()}
        change(values)
        arrays = values.pop("arrays")
        lists = {name: np.asarray(arrays[name]).tolist() for name in lists}
        path.write_text(json.dumps({**lists, **values}))
    else:
        arrays = members_of(path)
        values = {**json.loads(str(arrays.pop("meta"))), "arrays": arrays}
        change(values)
        arrays = values.pop("arrays")
        np.savez(path, meta=np.array(json.dumps(values)), **arrays)


def test_what_is_saved_is_loaded(saved):
    changed(saved, lambda values: None)
    back = skmm.Selection.load(saved)
    assert np.array_equal(back.indices, SELECTION.indices)
    assert np.array_equal(back.weights, SELECTION.weights)
    assert back.settings == SELECTION.settings
    assert str(back.diagnosis) == str(SELECTION.diagnosis)
    assert back.indices.flags.writeable
    for name, x in SELECTION.picture.items():
        assert np.array_equal(back.picture[name], x if saved.suffix == ".npz" else x[:0])


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(60) % 3 == 1, (np.arange(60) % 3).astype("M8[D]"), np.arange(60.0) % 3,
        np.array([b"a", b"b", b"c"] * 20), np.arange(60, dtype=np.uint64) % 3 + 2**63,
    ],
    ids=["bools", "dates", "floats", "bytes", "64 bits"],
)  # fmt: skip
def test_classes_of_any_type_are_loaded_as_json_has_them(tmp_path, labels):
    selection = skmm.select(X, 12, y=labels)
    for name in ("chosen.npz", "chosen.json"):
        back = skmm.Selection.load(selection.save(tmp_path / name))
        assert back.diagnosis.plain() == selection.diagnosis.plain()
        assert np.array_equal(back.indices, selection.indices)


def indices(change):
    def of(values):
        values["arrays"]["indices"] = change(values["arrays"]["indices"].copy())

    return of


def replaced(place, value):
    return lambda x: np.concatenate([x[:place], [value], x[place + 1 :]]).astype(np.int64)


def weights(change):
    def of(values):
        values["arrays"]["weights"] = change(values["arrays"]["weights"].copy())

    return of


def array(name, value):
    return lambda values: values["arrays"].update({name: value})


def field(where, name, value):
    return lambda values: values[where].update({name: value})


def without(where, name):
    return lambda values: values[where].pop(name)


CHANGES = {
    "a negative index": indices(replaced(0, -1)),
    "an index of N": indices(replaced(11, 60)),
    "an index beyond 32 bits": indices(replaced(11, 2**40)),
    "an index twice": indices(lambda x: replaced(1, x[0])(x)),
    "not ascending": indices(lambda x: x[::-1].copy()),
    "a wrap of 64 bits": indices(lambda x: np.r_[x[0], 2**63 - 1, 1 - 2**63, x[3:]]),
    "fractions": indices(lambda x: x + 0.5),
    "floats": indices(lambda x: x.astype(float)),
    "bools": indices(lambda x: np.ones(12, bool)),
    "strings": indices(lambda x: x.astype(str)),
    "two dimensions": indices(lambda x: x[:, None]),
    "none": indices(lambda x: x[:0]),
    "a scalar": indices(lambda x: x[0]),
    "too few": indices(lambda x: x[:-1]),
    "weights too short": weights(lambda x: x[:-1]),
    "weights two-dimensional": weights(lambda x: x[:, None]),
    "a negative weight": weights(lambda x: np.r_[-x[0], 2 * x[0] + x[1], x[2:]]),
    "not of mean 1": weights(lambda x: 2 * x),
    "a NaN weight": weights(lambda x: np.r_[np.nan, x[1:]]),
    "weights of strings": weights(lambda x: x.astype(str)),
    "format 4": lambda values: values.update(format=4),
    "format 1": lambda values: values.update(format=1),
    "format True": lambda values: values.update(format=True),
    "format 2.0": lambda values: values.update(format=2.0),
    "format '2'": lambda values: values.update(format="2"),
    "no format": lambda values: values.pop("format"),
    "no settings": lambda values: values.pop("settings"),
    "a field more": lambda values: values.update(more=1),
    "settings of a list": lambda values: values.update(settings=[]),
    "no method": without("settings", "method"),
    "no n_samples": without("settings", "n_samples"),
    "n_samples 0": field("settings", "n_samples", 0),
    "n_samples True": field("settings", "n_samples", True),
    "n_samples a float": field("settings", "n_samples", 60.0),
    "diagnosis null": lambda values: values.update(diagnosis=None),
    "diagnosis of a list": lambda values: values.update(diagnosis=[]),
    "a figure more": field("diagnosis", "more", 1),
    "a figure less": without("diagnosis", "rank"),
    "another n": field("diagnosis", "n", 13),
    "more rows than there are": field("diagnosis", "n_samples", 61),
    "a figure of a string": field("diagnosis", "mean_error", "1.5"),
    "a figure of a bool": field("diagnosis", "mean_error", True),
    "a figure of a list": field("diagnosis", "c_s", [1.0]),
    "a huge figure": field("diagnosis", "c_s", 10**400),
    "a rank of a float": field("diagnosis", "rank", 3.0),
    "a negative rank": field("diagnosis", "rank", -1),
    "draws of a string": field("diagnosis", "random_v_optimality", "1"),
    "draws of strings": field("diagnosis", "random_v_optimality", ["1"]),
    "nested draws": field("diagnosis", "random_v_optimality", [[1.0]]),
    "a warning of a number": field("diagnosis", "warnings", [1]),
    "warnings of one string": field("diagnosis", "warnings", "one"),
    "class counts of a list": field("diagnosis", "class_counts", [1]),
    "class counts of other lengths": field(
        "diagnosis", "class_counts", {"labels": [0], "pool": [60], "chosen": [6, 6]}
    ),
    "class counts below 0": field(
        "diagnosis", "class_counts", {"labels": [0, 1], "pool": [40, 20], "chosen": [13, -1]}
    ),
    "class counts of others": field(
        "diagnosis", "class_counts", {"labels": [0], "pool": [60], "chosen": [11]}
    ),
    "class counts of a nested class": field(
        "diagnosis", "class_counts", {"labels": [[0]], "pool": [60], "chosen": [12]}
    ),
    "nested settings": field("settings", "options", json.loads("[" * 200 + "]" * 200)),
}  # fmt: skip


OF_ARRAYS = {  # which a .json does not have, or not of this type
    "32 bits": indices(lambda x: x.astype(np.int32)),
    "unsigned": indices(lambda x: x.astype(np.uint64)),
    "a picture of strings": array("pool", np.array([["a", "b"]] * 60)),
    "a picture in three dimensions": array("pool", np.ones((60, 3))),
    "a picture of others": array("selected", np.ones((11, 2))),
    "eigenvalues in two dimensions": array("eigenvalues", np.ones((6, 1))),
    "eigenvalues not finite": array("eigenvalues", np.full(6, np.nan)),
}


@pytest.mark.parametrize("change", OF_ARRAYS.values(), ids=OF_ARRAYS)
def test_changed_arrays_are_refused(tmp_path, change):
    path = SELECTION.save(tmp_path / "chosen.npz")
    changed(path, change)
    with pytest.raises(ValueError, match=REFUSED):
        skmm.Selection.load(path)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_values_are_refused(saved, change):
    changed(saved, change)
    with pytest.raises(ValueError, match=REFUSED):
        skmm.Selection.load(saved)


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("name", ["indices", "weights", "pool", "meta"])
def test_pickles_are_not_opened(tmp_path, name):
    path = SELECTION.save(tmp_path / "chosen.npz")
    arrays = members_of(path)
    arrays[name] = np.array([Runs(tmp_path / "ran")], object)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=REFUSED):
        skmm.Selection.load(path)
    assert not (tmp_path / "ran").exists()


def test_every_byte_of_an_npz_that_is_lost_or_changed(tmp_path):
    """The file is refused, or is the same selection: dates in an archive, say, mean nothing."""
    path = SELECTION.save(tmp_path / "chosen.npz")
    content = path.read_bytes()
    refused = []
    cuts = [content[:k] for k in range(0, len(content), 97)]
    flips = []
    for k in range(0, len(content), 41):
        flipped = bytearray(content)
        flipped[k] ^= 1 << k % 8
        flips.append(bytes(flipped))
    for damaged in [*cuts, *flips]:
        path.write_bytes(damaged)
        try:
            back = skmm.Selection.load(path)
        except ValueError as error:
            refused.append(str(error))
        else:
            assert np.array_equal(back.indices, SELECTION.indices)
            assert back.settings == SELECTION.settings
    assert len(refused) > 0.9 * (len(cuts) + len(flips))
    assert all("path: expected a selection of format 2, got " in said for said in refused)


def test_archives_of_other_makers(tmp_path):
    path = SELECTION.save(tmp_path / "chosen.npz")
    arrays = members_of(path)
    np.savez_compressed(path, **arrays)
    with pytest.raises(ValueError, match=r"meta\.npy compressed"):
        skmm.Selection.load(path)
    content = io.BytesIO()
    np.save(content, np.arange(12))
    for name in ("more.npy", "indices.npy"):  # a second one of that name
        np.savez(path, **arrays)
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(name, content.getvalue())
        with pytest.raises(ValueError, match=REFUSED):
            skmm.Selection.load(path)
    np.savez(path, **{name: x for name, x in arrays.items() if name != "weights"})
    with pytest.raises(ValueError, match=REFUSED):
        skmm.Selection.load(path)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe", b"{}", b'{"format": 3}',
        b'{"format": 3, "format": 3}', b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b'{"a": 1e999}',
        b"9" * 5000,
    ],
)  # fmt: skip
def test_other_json(tmp_path, text):
    path = tmp_path / "chosen.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=REFUSED):
        skmm.Selection.load(path)


@pytest.mark.parametrize("make", NOT_FILES.values(), ids=NOT_FILES)
@pytest.mark.parametrize("name", ["chosen.json", "other.npz"])
def test_no_regular_file(tmp_path, make, name):
    make(tmp_path / name)
    with at_most(20), pytest.raises(ValueError, match=f"{name}: expected a regular file"):
        skmm.Selection.load(tmp_path / name)


def test_files_for_other_programs(tmp_path):
    rows = np.load(SELECTION.save(tmp_path / "chosen.npy"))
    assert np.array_equal(rows, SELECTION.indices)
    table = np.genfromtxt(SELECTION.save(tmp_path / "chosen.csv"), delimiter=",", names=True)
    assert np.array_equal(table["index"], SELECTION.indices)
    assert np.array_equal(table["weight"], SELECTION.weights)
    for name in ("chosen.npy", "chosen.csv"):
        with pytest.raises(ValueError, match=r"path: expected a name that ends in .npz or .json"):
            skmm.Selection.load(tmp_path / name)
    with pytest.raises(ValueError, match=r"path: expected a name that ends in .npz, .json, .npy"):
        SELECTION.save(tmp_path / "chosen.xlsx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["chosen.csv", "chosen.npy"]


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/chosen.json'$"):
        SELECTION.save(tmp_path / "nowhere" / "chosen.json")


def test_files_that_cannot_be_opened(tmp_path):
    (tmp_path / "a.npz").symlink_to("b.npz")
    (tmp_path / "b.npz").symlink_to("a.npz")
    for name in ("a.npz", "none.npz", "none.json"):
        with pytest.raises(OSError, match=name):
            skmm.Selection.load(tmp_path / name)
