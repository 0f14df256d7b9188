"""Files that do not match, or are not checkpoints, raise an error and change nothing."""

import hashlib
import pickle
import sys

import numpy as np
import pytest

import mtl_tf as mtl
from tests.backbones.checkpoints import (
    TASKS,
    check_holds,
    check_same,
    published,
    save_safetensors,
    save_torch,
    values,
)
from tests.weights.test_torch_file import zipped


def damaged(state, kind):
    state = dict(state)
    if kind == "missing":
        del state["layer3.1.conv2.weight"]
    elif kind == "extra":
        state["layer3.2.conv1.weight"] = np.zeros((256, 256, 3, 3), np.float32)
    elif kind == "misshaped":
        state["layer3.1.conv2.weight"] = np.zeros((256, 256, 3, 1), np.float32)
    return state


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"layer3\.1\.conv2\.weight is missing"),
        ("extra", r"layer3\.2\.conv1\.weight is unexpected"),
        (
            "misshaped",
            r"layer3\.1\.conv2\.weight must be \(256, 256, 3, 3\), is \(256, 256, 3, 1\)",
        ),
    ],
)
@pytest.mark.parametrize("kept", ["backbone", "copies"])
def test_tensors_that_do_not_fit_are_named_and_nothing_is_changed(kind, message, kept, tmp_path):
    if kept == "backbone":
        model = mtl.backbones.build("resnet18", (32, 32, 3))
    else:
        model = mtl.architectures.CrossStitch("resnet18", TASKS, (32, 32, 3), head="conv")
    before = values(model)
    path = save_safetensors(damaged(published(18), kind), tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=rf"odd\.safetensors does not fit.*{message}"):
        mtl.backbones.load_pretrained(model, path)
    check_same(before, values(model))


def test_another_depth_is_told_with_a_few_names_only(tmp_path):
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    path = save_safetensors(published(50), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"is unexpected.*and \d+ more") as error:
        mtl.backbones.load_pretrained(model, path)
    assert len(str(error.value)) < 600
    check_same(before, values(model))


def bad_file(kind, folder):
    if kind == "nonexistent":
        return folder / "nothing.pth"
    if kind == "folder":
        return folder
    if kind in ("noise.safetensors", "noise.pth"):
        (folder / kind).write_bytes(np.random.default_rng(0).bytes(1000))
        return folder / kind
    if kind == "cut.safetensors":
        path = save_safetensors(published(18), folder / kind)
        path.write_bytes(path.read_bytes()[:-1000])
        return path
    torch = pytest.importorskip("torch")
    if kind == "cut.pth":
        path = save_torch(published(18), folder / kind)
        path.write_bytes(path.read_bytes()[:-1000])
        return path
    contents = {
        "code.pth": {"model": np.random.default_rng(0)},
        "number.pth": 3,
        "numbers.pth": {"conv1.weight": 3},
        "tensor.pth": torch.zeros(3),
    }[kind]
    torch.save(contents, folder / kind)
    return folder / kind


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nonexistent", r"There is no checkpoint .*nothing\.pth"),
        ("folder", "There is no checkpoint"),
        ("noise.safetensors", r"noise\.safetensors is not a safetensors file"),
        ("cut.safetensors", r"cut\.safetensors is not a safetensors file"),
        ("noise.pth", r"noise\.pth is not a checkpoint of tensors"),
        ("cut.pth", r"cut\.pth is not a checkpoint of tensors"),
        ("code.pth", r"code\.pth is not a checkpoint of tensors"),
        ("number.pth", r"number\.pth must hold a state dictionary"),
        ("numbers.pth", r"numbers\.pth must hold a state dictionary"),
        ("tensor.pth", r"tensor\.pth must hold a state dictionary"),
    ],
)
def test_files_that_are_no_checkpoints_are_told_and_nothing_is_changed(kind, message, tmp_path):
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    with pytest.raises(ValueError, match=message):
        mtl.backbones.load_pretrained(model, bad_file(kind, tmp_path))
    check_same(before, values(model))


def test_files_of_pytorch_load_without_it(monkeypatch, tmp_path):
    state = published(18)
    torch_file = save_torch(state, tmp_path / "a.pth")
    monkeypatch.setitem(sys.modules, "torch", None)
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    mtl.backbones.load_pretrained(model, torch_file)
    check_holds(model, state)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value, tmp_path):
    state = published(18)
    state["layer2.0.bn1.weight"][3] = value
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    before = values(model)
    path = save_safetensors(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors .*layer2\.0\.bn1\.weight is not finite"):
        mtl.backbones.load_pretrained(model, path)
    check_same(before, values(model))


@pytest.mark.parametrize("name", ["net-20240115.pth", "best-0aa007d2.pth.tar", "0aa007d2.pth"])
def test_other_names_are_not_taken_for_digests(name, tmp_path):
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(ValueError, match="is not a checkpoint of tensors"):
        mtl.backbones.load_pretrained(model, tmp_path / name)


def test_names_of_tensors_that_are_no_texts(tmp_path):
    content = zipped(pickle.dumps({0: 1}, 2))
    (tmp_path / "a.pth").write_bytes(content)
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    with pytest.raises(ValueError, match=r"a\.pth must hold a state dictionary"):
        mtl.backbones.load_pretrained(model, tmp_path / "a.pth")


def test_a_digest_in_the_name_is_checked(tmp_path):
    state = published(18)
    path = save_safetensors(state, tmp_path / "a.safetensors")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named = path.rename(tmp_path / f"resnet18-{digest[:8]}.pth")
    model = mtl.backbones.build("resnet18", (32, 32, 3))
    with pytest.raises(ValueError, match="is not a checkpoint of tensors"):
        mtl.backbones.load_pretrained(model, named)  # whose digest is right
    named.write_bytes(named.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=rf"is damaged.*sha256 must begin with {digest[:8]}"):
        mtl.backbones.load_pretrained(model, named)
