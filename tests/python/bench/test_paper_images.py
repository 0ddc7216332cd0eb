"""The paper's experiments on images, end to end: generated images, random weights."""

import json
import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPModel,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
)

from paper import images, stanford_cars, utkface
from paper.backbones import LastTwo, clip, resnet
from paper.heads import Training, predict, proxy, train
from skmm_fast.gradients import GradientSketcher

CLASSES, POOL, TEST = 5, 8, 3  # images of each class
COLOURS = np.random.default_rng(0).integers(0, 256, (CLASSES, 3))

# What the hub keeps beside "openai/clip-vit-base-patch32" and "microsoft/resnet-18", but for sizes.
CLIP_PROCESSOR = {
    "crop_size": 32,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48, 0.46, 0.41],
    "image_std": [0.27, 0.26, 0.28],
    "resample": 3,
    "size": 32,
}
RESNET_PROCESSOR = {
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ConvNextFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 32,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
TEXT = {"vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}


def paint(path, colour, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-20, 21, (32, 40, 3))
    Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cars")
    for part, count in (("train", POOL), ("test", TEST)):
        for k, colour in enumerate(COLOURS):
            for i in range(count):
                paint(folder / part / f"Car {k}" / f"{i:05}.jpg", colour, seed=100 * k + i)
    grey = folder / "train" / "Car 0" / "00000.jpg"
    Image.open(grey).convert("L").save(grey)
    (folder / "train" / "Car 0" / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for i in range(40):
        paint(folder / f"{2 * i + 1}_0_2_201701{i:02}.jpg.chip.jpg", 6 * i, seed=i)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """Both towers, as at the hub."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    vision = VISION | {"image_size": 32, "patch_size": 16, "projection_dim": 8}
    config = CLIPConfig(text_config=VISION | TEXT, vision_config=vision, projection_dim=8)
    CLIPModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(CLIP_PROCESSOR))
    return folder


def resnet_config(layer_type="basic"):
    return ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], layer_type=layer_type, num_labels=7
    )


@pytest.fixture(scope="module")
def resnet_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resnet")
    torch.manual_seed(0)
    ResNetForImageClassification(resnet_config()).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(RESNET_PROCESSOR))
    return folder


def result_of(out, methods, counts, seeds, metrics):
    """The settings in a JSON whose rows are those of such a run."""
    result = json.loads(out.read_text())
    found = {(row["method"], row["n"]) for row in result["rows"]}
    assert found - {("whole pool", result["rows"][0]["N"])} == {
        (method, n) for method in methods for n in counts
    }
    for row in result["rows"]:
        for name in metrics:
            values = row["metrics"][name]["values"]
            assert len(values) == seeds
            assert np.isfinite(values).all()
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    return result["settings"]


def test_utkface(faces, clip_folder, tmp_path, capsys):
    out = tmp_path / "faces.json"
    methods, counts = ["uniform", "v-optimal", "t-leverage"], [8, 16]
    given = [faces, "--model", clip_folder, "--out", out, "--cache", tmp_path / "cache"]
    given += ["--methods", *methods, "--counts", *counts, "--seeds", 2]
    utkface.main([str(x) for x in given])
    settings = result_of(out, methods, counts, 2, ["MAE"])
    assert settings["model"] == str(clip_folder)
    shown = capsys.readouterr().out
    assert "MAE / uniform" in shown
    assert "whole pool" in shown


@pytest.mark.parametrize("finetune", ["lp", "ft"])
def test_stanford_cars(finetune, cars, clip_folder, resnet_folder, tmp_path, monkeypatch, capsys):
    trained = []

    def spy(head, X, y, rows, *arguments):
        trained.append(rows)
        return train(head, X, y, rows, *arguments)

    monkeypatch.setattr(stanford_cars, "train", spy)
    out, model = tmp_path / "cars.json", {"lp": clip_folder, "ft": resnet_folder}[finetune]
    methods = ["v-optimal", "deepfool", "forgetting"] if finetune == "lp" else ["glister"]
    given = [cars, finetune, "--model", model, "--out", out, "--cache", tmp_path / "cache"]
    given += ["--methods", *methods, "--counts", 10, 20, "--seeds", 2, "--sketch-dim", 16]
    given = [str(x) for x in [*given, "--epochs", 3, "--proxy-epochs", 2]]
    stanford_cars.main(given)
    settings = result_of(out, methods, [10, 20], 2, ["accuracy", "macro-F1"])
    assert (settings["finetune"], settings["targets"]) == (finetune, "labels")
    assert settings["lr"] == {"lp": 1e-2, "ft": 1e-3}[finetune]
    pool = CLASSES * POOL
    assert [len(rows) for rows in trained] == 2 * ([10, 20] * len(methods) + [pool])
    for rows in trained:
        assert len(np.unique(rows)) == len(rows)
        assert rows.max() < pool

    first = out.read_bytes()  # again, all that is slow from the cache
    monkeypatch.setattr(images, "made", None)
    stanford_cars.main(given)
    rows, again = (json.loads(x)["rows"] for x in (first, out.read_bytes()))
    for row, same in zip(rows, again, strict=True):
        assert row["metrics"] == same["metrics"]


def test_cars_are_labelled_by_their_folders(cars):
    found = stanford_cars.read(cars)
    assert [len(found.pool), len(found.test)] == [CLASSES * POOL, CLASSES * TEST]
    assert all(path.suffix == ".jpg" for path in found.paths)
    for i, path in enumerate(found.paths):
        assert path.parent.name == f"Car {found.y[i]}"
        assert path.parent.parent.name == ("train" if i in found.pool else "test")


def test_folders_that_do_not_fit(cars, faces, tmp_path):
    for k, part in enumerate(("train", "test")):
        paint(tmp_path / part / f"Car {k}" / "0.jpg", COLOURS[0], 0)
    with pytest.raises(ValueError, match="expected classes of train and test, got 'Car 0' in one"):
        stanford_cars.read(tmp_path)
    with pytest.raises(ValueError, match="folder: expected a folder of classes, got "):
        stanford_cars.read(faces)
    with pytest.raises(ValueError, match="folder: expected images"):
        images.images_in(cars)
    paths = images.images_in(faces)
    assert sorted(utkface.ages(paths)) == list(range(1, 80, 2))
    with pytest.raises(ValueError, match=r"folder: expected names <age>_..., got .*00000.jpg"):
        utkface.ages([*paths, cars / "train" / "Car 0" / "00000.jpg"])


def test_missing_weights_are_an_error(clip_folder, resnet_folder):
    with pytest.raises(ValueError, match="expected all weights of ResNetModel"):
        resnet(str(clip_folder), "cpu")


def test_features_are_those_of_the_model_and_kept(cars, clip_folder, tmp_path, monkeypatch):
    backbone = clip(str(clip_folder), "cpu")
    paths = stanford_cars.read(cars).paths
    X, folder = images.features(paths, backbone, tmp_path)
    whole = CLIPModel.from_pretrained(clip_folder).eval()
    opened = [Image.open(path).convert("RGB") for path in paths]
    pixels = backbone.processor(images=opened, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = whole.get_image_features(pixel_values=pixels).pooler_output
    np.testing.assert_allclose(X, expected, rtol=1e-4, atol=1e-5)
    assert not X.flags.writeable

    made = []
    monkeypatch.setattr(
        images, "made", lambda *_: made.append(1) or iter([np.zeros((len(paths), 1))])
    )
    assert images.features(paths, backbone, tmp_path)[1] == folder
    assert not made
    with torch.no_grad():
        next(backbone.trunk.parameters()).add_(1)
    others = {folder, images.features(paths, backbone, tmp_path)[1]}
    os.utime(paths[0], (0, 0))
    others.add(images.features(paths, backbone, tmp_path)[1])
    assert len(others) == 3
    assert len(made) == 2


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_resnet_is_cut_before_its_last_convolution(layer_type, tmp_path):
    torch.manual_seed(1)
    whole = ResNetForImageClassification(resnet_config(layer_type)).eval()
    with torch.no_grad():
        for p in whole.parameters():
            p.add_(0.1 * torch.randn_like(p))
    whole.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(RESNET_PROCESSOR))
    backbone = resnet(str(tmp_path), "cpu")
    head = backbone.head(7)
    head.linear.load_state_dict(whole.classifier[1].state_dict())
    pixels, labels = torch.randn(4, 3, 32, 32), torch.arange(4)
    with torch.no_grad():
        features = backbone.trunk(pixels)
        torch.testing.assert_close(head(features), whole(pixels).logits)
    Z = GradientSketcher(head, params="trainable", sketch_dim=32)((features, labels))
    expected = GradientSketcher(whole, params="last-2", sketch_dim=32)((pixels, labels))
    torch.testing.assert_close(Z, expected, rtol=1e-4, atol=1e-6)


def test_parameters_of_the_paper():
    config = ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2] * 4, layer_type="basic")
    head = LastTwo(ResNetModel(config), 196).eval()
    assert GradientSketcher(head, params="trainable").n_params == 2_459_844


def test_heads_learn_and_keep_a_record():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = (np.eye(3, 6)[y] * 5 + rng.standard_normal((60, 6))).astype(np.float32)
    rows, how = np.arange(10, 60), Training(epochs=8, lr=0.1, batch_size=16)
    head = torch.nn.Linear(6, 3)
    found = proxy(head, X, y, rows, how, seed=0)
    assert (found["logits"].argmax(1) == y[rows]).mean() > 0.95
    np.testing.assert_allclose(found["logits"], predict(head, X, rows))
    np.testing.assert_allclose(found["probs"].sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found["head"], head.weight.detach())
    assert found["record"].shape == (8, 50)
    means = found["record"].mean(1)
    assert means[-1] > means[0]


def test_weights_of_rows_count():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 6)).astype(np.float32), np.arange(40) % 2
    X[20:] = X[:20]  # each row twice, once of either class
    y[20:] = 1 - y[:20]
    weights = np.where(np.arange(40) < 20, 9.0, 1.0)
    head = torch.nn.Linear(6, 2)
    train(head, X, y, np.arange(40), Training(epochs=60, lr=0.1), 0, weights)
    plain = torch.nn.Linear(6, 2)
    train(plain, X, y, np.arange(40), Training(epochs=60, lr=0.1), 0)
    right, undecided = (
        torch.nn.functional.cross_entropy(
            torch.from_numpy(predict(h, X, np.arange(20))), torch.from_numpy(y[:20])
        )
        for h in (head, plain)
    )
    assert right < undecided - 0.05
