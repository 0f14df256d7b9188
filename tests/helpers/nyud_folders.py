"""Writes tiny NYU Depth v2 folders in the four layouts, and says what is in them."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import h5py
import numpy as np
import scipy.io
from PIL import Image

HEIGHT, WIDTH = 24, 32
Truth = dict[str, dict[str, np.ndarray]]
"""For each image id: what was written, by task and `"image"`, as `[H, W]` or `[H, W, C]`."""

DIRECTIONS = np.array([[0, 0, 1], [0.6, 0, 0.8], [0, -0.8, 0.6], [0, 0, 0]], np.float32)
"""Unit normals, and the zero vector for an invalid one."""


def blocks(generator: np.random.Generator, *channels: int) -> np.ndarray:
    """Random colours, constant over 8x8 pixels: JPEG keeps them to a code or two."""
    codes = generator.integers(0, 256, (HEIGHT // 8, WIDTH // 8, *channels))
    return codes.repeat(8, 0).repeat(8, 1).astype(np.uint8)


def normals(generator: np.random.Generator) -> np.ndarray:
    choice = generator.permutation(np.arange(HEIGHT * WIDTH // 64) % len(DIRECTIONS))
    grid = DIRECTIONS[choice].reshape(HEIGHT // 8, WIDTH // 8, 3)
    return grid.repeat(8, 0).repeat(8, 1)


def save(path: pathlib.Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".jpg":
        Image.fromarray(array).save(path, quality=100, subsampling=0)
    else:
        Image.fromarray(array).save(path)


def write_pack(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(1), {}
    for number in range(1, count + 1):
        written = {
            "image": blocks(generator, 3),
            "semseg": generator.choice([*range(40), 255], (HEIGHT, WIDTH)).astype(np.uint8),
            "depth": generator.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8),
            "normals": normals(generator),
            "edges": generator.choice([0, 128, 255], (HEIGHT, WIDTH)).astype(np.uint8),
        }
        stem = f"{number:04d}"
        save(root / "rgb" / f"{stem}.jpg", written["image"])
        save(root / "seg40" / f"{stem}.png", written["semseg"])
        save(root / "depth" / f"{stem}.png", written["depth"])
        codes = np.rint((written["normals"] + 1) / 2 * 255).astype(np.uint8)
        save(root / "normal" / f"{stem}.jpg", codes)
        save(root / "edge" / f"{stem}.png", written["edges"])
        truth[stem] = written
    (root / "ids.txt").write_text("\n".join(truth) + "\n")
    return truth


def write_nyud_mt(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(2), {}
    for number in range(1, count + 1):
        depth = generator.uniform(0.5, 10, (HEIGHT, WIDTH)).astype(np.float32)
        depth[generator.random((HEIGHT, WIDTH)) < 0.1] = 0
        written = {
            "image": blocks(generator, 3),
            "semseg": generator.integers(0, 41, (HEIGHT, WIDTH)).astype(np.uint8),
            "depth": depth,
            "normals": normals(generator),
            "edges": generator.integers(0, 2, (HEIGHT, WIDTH)).astype(np.uint8),
        }
        stem = f"{number:04d}"
        save(root / "images" / f"{stem}.jpg", written["image"])
        save(root / "segmentation" / f"{stem}.png", written["semseg"])
        save(root / "depth" / f"{stem}.npy", depth)
        save(root / "normals" / f"{stem}.npy", written["normals"].astype(np.float16))
        save(root / "edge" / f"{stem}.npy", written["edges"])
        truth[stem] = written
    (root / "gt_sets").mkdir()
    stems = list(truth)
    (root / "gt_sets" / "train.txt").write_text("\n".join(stems[1:]) + "\n")
    (root / "gt_sets" / "val.txt").write_text(stems[0])
    return truth


def write_mtan(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(3), {}
    for image_id in [f"train/{i}" for i in range(1, count)] + ["val/0"]:
        depth = generator.uniform(0.5, 10, (HEIGHT, WIDTH)).astype(np.float32)
        depth[generator.random((HEIGHT, WIDTH)) < 0.1] = 0
        written = {
            "image": generator.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8),
            "semseg": generator.integers(-1, 13, (HEIGHT, WIDTH)),
            "depth": depth,
            "normals": normals(generator),
        }
        split, stem = image_id.split("/")
        save(root / split / "image" / f"{stem}.npy", written["image"].astype(np.float32) / 255)
        save(root / split / "label" / f"{stem}.npy", written["semseg"].astype(np.float32))
        save(root / split / "depth" / f"{stem}.npy", depth[..., None])
        save(root / split / "normal" / f"{stem}.npy", written["normals"])
        truth[image_id] = written
    return truth


def class_map() -> np.ndarray:
    """A class 1..40 for each raw label 1..894."""
    return np.random.default_rng(4).integers(1, 41, 894).astype(np.uint8)


def write_matlab(root: pathlib.Path, count: int = 4) -> Truth:
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (count, HEIGHT, WIDTH, 3)).astype(np.uint8)
    depths = generator.uniform(0.7, 10, (count, HEIGHT, WIDTH)).astype(np.float32)
    depths[:, 0, :3] = 0
    labels = generator.integers(0, 895, (count, HEIGHT, WIDTH)).astype(np.uint16)
    labels[generator.random(labels.shape) < 0.2] = 0
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as archive:
        archive["images"] = images.transpose(0, 3, 2, 1)
        archive["depths"] = depths.transpose(0, 2, 1)
        archive["labels"] = labels.transpose(0, 2, 1)
    numbers = np.arange(1, count + 1, dtype=np.uint16)
    splits = {"trainNdxs": numbers[1:, None], "testNdxs": numbers[:1, None]}
    scipy.io.savemat(root / "splits.mat", splits)
    scipy.io.savemat(root / "classMapping40.mat", {"mapClass": class_map()[None]})
    return {
        f"{i + 1:04d}": {"image": images[i], "depth": depths[i], "semseg": labels[i]}
        for i in range(count)
    }


WRITERS: dict[str, Callable[..., Truth]] = {
    "pack": write_pack,
    "nyud_mt": write_nyud_mt,
    "mtan": write_mtan,
    "matlab": write_matlab,
}
CLASSES = {"pack": 40, "nyud_mt": 40, "mtan": 13, "matlab": 40}
TASKS = ("semseg", "depth", "normals", "edges")
