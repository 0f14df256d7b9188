"""Writes tiny folders of the data sets beside NYU Depth v2, and says what is in them."""

import json
import pathlib

import numpy as np
import scipy.io

from tests.helpers.nyud_folders import HEIGHT, WIDTH, Truth, blocks, normals, save

CAMERA = {"extrinsic": {"baseline": 0.2}, "intrinsic": {"fx": 2000.0}}


def write_bsds_sod(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(1), {}
    for number in range(1, count + 1):
        written = {
            "image": blocks(generator, 3),
            "edges": generator.choice([0, 26, 51, 102, 255], (HEIGHT, WIDTH)).astype(np.uint8),
            "saliency": generator.choice([0, 255], (HEIGHT, WIDTH)).astype(np.uint8),
        }
        save(root / "rgb" / f"{number}.jpg", written["image"])
        save(root / "edge" / f"{number}.png", written["edges"])
        save(root / "saliency" / f"{number}.png", written["saliency"])
        truth[str(number)] = written
    (root / "ids.txt").write_text("\n".join(truth))
    return truth


def write_bsds500(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(1), {}
    for number in range(1, count + 3):
        split = {1: "val", 2: "test"}.get(number, "train")
        people = generator.random((5, HEIGHT, WIDTH)) < 0.2
        written = {"image": blocks(generator, 3), "edges": people}
        save(root / "data" / "images" / split / f"{number}.jpg", written["image"])
        cells = np.zeros((1, 5), object)
        for i, drawn in enumerate(people):
            made = np.zeros((1, 1), [("Segmentation", "O"), ("Boundaries", "O")])
            made[0, 0] = (np.ones((HEIGHT, WIDTH), np.uint16), drawn.astype(np.uint8))
            cells[0, i] = made
        path = root / "data" / "groundTruth" / split / f"{number}.mat"
        _save_matlab(path, groundTruth=cells)
        truth[f"{split}/{number}"] = written
    return truth


def write_ccp(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(1), {}
    for number in range(1, count + 1):
        written = {
            "image": blocks(generator, 3),
            "human_parts": generator.integers(0, 8, (HEIGHT, WIDTH)).astype(np.uint8),
        }
        save(root / "rgb" / f"{number:04d}.jpg", written["image"])
        save(root / "parts" / f"{number:04d}.png", written["human_parts"])
        truth[f"{number:04d}"] = written
    (root / "ids.txt").write_text("\n".join(truth))
    return truth


def write_cityscapes(root: pathlib.Path, count: int = 4) -> Truth:
    generator, truth = np.random.default_rng(1), {}
    for number in range(count):
        place = f"{'train' if number else 'val'}/aachen/aachen_{number:06d}_000019"
        written = {
            "image": blocks(generator, 3),
            "semseg": generator.integers(0, 34, (HEIGHT, WIDTH)).astype(np.uint8),
            "edges": generator.integers(0, 3, (HEIGHT // 8, WIDTH // 8)).astype(np.uint16) + 26000,
            "depth": generator.integers(0, 40000, (HEIGHT, WIDTH)).astype(np.uint16),
        }
        written["edges"] = written["edges"].repeat(8, 0).repeat(8, 1)
        save(root / "leftImg8bit" / f"{place}_leftImg8bit.png", written["image"])
        save(root / "gtFine" / f"{place}_gtFine_labelIds.png", written["semseg"])
        save(root / "gtFine" / f"{place}_gtFine_instanceIds.png", written["edges"])
        save(root / "disparity" / f"{place}_disparity.png", written["depth"])
        camera = root / "camera" / f"{place}_camera.json"
        camera.parent.mkdir(parents=True, exist_ok=True)
        camera.write_text(json.dumps(CAMERA))
        truth[place] = written
    return truth


def write_pascal_context(root: pathlib.Path, count: int = 4) -> Truth:
    """The last image shows nobody; the second has its classes in the second of the two folders."""
    generator, truth = np.random.default_rng(1), {}
    for number in range(1, count + 1):
        stem = f"2008_{number:06d}"
        context = generator.integers(0, 460, (HEIGHT // 8, WIDTH // 8)).astype(np.uint16)
        written = {
            "image": blocks(generator, 3),
            "semseg": generator.choice([*range(21), 255], (HEIGHT, WIDTH)).astype(np.uint8),
            "edges": context.repeat(8, 0).repeat(8, 1),
            "normals": normals(generator),
            "saliency": generator.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8),
            "human_parts": np.zeros((HEIGHT, WIDTH), np.uint8),
        }
        save(root / "JPEGImages" / f"{stem}.jpg", written["image"])
        folder = "pascal-context" if number == 2 else "VOC12"
        save(root / "semseg" / folder / f"{stem}.png", written["semseg"])
        codes = np.rint((written["normals"] + 1) / 2 * 255).astype(np.uint8)
        save(root / "normals_distill" / f"{stem}.png", codes)
        save(root / "sal_distill" / f"{stem}.png", written["saliency"])
        _save_matlab(
            root / "pascal-context" / "trainval" / f"{stem}.mat", LabelMap=written["edges"]
        )
        objects = [_object(12, [("head", _box(0, 8))])]  # a dog
        if number < count:
            objects.append(_object(15, [("lfoot", _box(8, 16)), ("nose", _box(16, 24))]))
            objects.append(_object(15, []))
            written["human_parts"][_box(8, 16) > 0] = 6
            written["human_parts"][_box(16, 24) > 0] = 1
        _save_matlab(root / "human_parts" / f"{stem}.mat", anno=_annotation(stem, objects))
        truth[stem] = written
    stems = list(truth)
    lists = root / "ImageSets" / "Context"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(stems[1:]))
    (lists / "val.txt").write_text(stems[0])
    return truth


def _box(first: int, last: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[4:20, first:last] = 1
    return mask


def _object(class_id: int, parts: list) -> tuple:
    made = np.zeros((1, len(parts)) if parts else (0, 0), [("part_name", "O"), ("mask", "O")])
    for i, part in enumerate(parts):
        made[0, i] = part
    return "name", class_id, np.zeros((HEIGHT, WIDTH), np.uint8), made


def _annotation(stem: str, objects: list) -> np.ndarray:
    """As MATLAB stores `anno`: arrays of structures, even of one."""
    fields = [("class", "O"), ("class_ind", "O"), ("mask", "O"), ("parts", "O")]
    listed = np.zeros((1, len(objects)), fields)
    for i, made in enumerate(objects):
        listed[0, i] = made
    annotation = np.zeros((1, 1), [("imname", "O"), ("objects", "O")])
    annotation[0, 0] = (stem, listed)
    return annotation


def _save_matlab(path: pathlib.Path, **variables: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, do_compression=True)


def write_taskonomy(root: pathlib.Path, count: int = 4) -> Truth:
    """Views of one building of each split of the tiny subset."""
    generator, truth = np.random.default_rng(1), {}
    for building in ("allensville", "darden", "ihlen"):
        for number in range(count if building == "allensville" else 1):
            view = f"point_{number}_view_1"
            size = (HEIGHT, WIDTH)
            written = {
                "image": blocks(generator, 3),
                "semseg": generator.integers(0, 18, size).astype(np.uint8),
                "depth": generator.choice([0, 600, 5000, 64000, 65535], size).astype(np.uint16),
                "normals": normals(generator),
                "edges": generator.integers(0, 65536, size).astype(np.uint16),
                "keypoints": generator.integers(0, 65536, size).astype(np.uint16),
                "principal_curvature": blocks(generator, 3),
            }
            codes = np.rint(written["normals"] * [1, -1, -1] * 127.5 + 127.5).astype(np.uint8)
            for kind, domain in TASKONOMY_DOMAINS.items():
                path = root / domain / building / f"{view}_domain_{domain}.png"
                save(path, codes if kind == "normals" else written[kind])
            truth[f"{building}/{view}"] = written
    return truth


TASKONOMY_DOMAINS = {
    "image": "rgb",
    "semseg": "segment_semantic",
    "depth": "depth_zbuffer",
    "normals": "normal",
    "edges": "edge_texture",
    "keypoints": "keypoints2d",
    "principal_curvature": "principal_curvature",
}
