"""A folder of another field: drawn cells with classes, distances and boundaries."""

import pathlib

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 48, 64
DESCRIPTION = {
    "images": "photos/*.{jpg,png}",
    "input_size": [32, 64],
    "splits": {"val": 0.25},
    "tasks": {
        "cells": {
            "files": "classes/*.png",
            "encoding": "png class ids",
            "classes": ["background", "round", "long"],
            "colours": [[0, 0, 0], [200, 0, 0], [0, 0, 200]],
            "ignore": 255,
        },
        "distance": {"files": "distance/*.npy", "encoding": "values"},
        "border": {"files": "border/*.png", "encoding": "binary 0/255", "kind": "boundary"},
    },
}


def drawn_cells(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The picture, classes, distances to the border of a cell, and borders."""
    r = np.random.default_rng(seed)
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(4):
        centre = tuple(int(x) for x in r.integers(8, (WIDTH - 8, HEIGHT - 8)))
        kind = int(r.integers(1, 3))
        axes = (6, 6) if kind == 1 else (9, 3)
        cv2.ellipse(classes, centre, axes, float(r.integers(0, 180)), 0, 360, kind, -1)
    distance = cv2.distanceTransform((classes > 0).astype(np.uint8), cv2.DIST_L2, 3)
    edges = cv2.morphologyEx(classes, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    image = np.stack([60 + 70 * classes, 200 - 60 * classes, np.full_like(classes, 120)], -1)
    noisy = image + r.normal(0, 8, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), classes, distance, edges


def write_cells(root: pathlib.Path, count: int = 8) -> list[str]:
    """Write the folder, without a data.yaml, and return the ids."""
    for folder in ("photos", "classes", "distance", "border"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    ids = [f"zelle {i}" for i in range(count)]
    for i, name in enumerate(ids):
        image, classes, distance, edges = drawn_cells(i)
        suffix = "JPG" if i % 2 else "png"
        Image.fromarray(image).save(root / "photos" / f"{name}.{suffix}", quality=95)
        classes = classes.copy()
        classes[:2] = 255
        Image.fromarray(classes).save(root / "classes" / f"{name}.png")
        np.save(root / "distance" / f"{name}.npy", distance)
        Image.fromarray(edges.astype(np.uint8) * 255).save(root / "border" / f"{name}.png")
    return ids
