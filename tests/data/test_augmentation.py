"""What random augmentation draws, its settings, and colours in and out."""

from __future__ import annotations

import numpy as np
import pytest

from mtl_tf.data.sample import Sample, make_sample
from mtl_tf.data.transforms import Augmentation, augment, denormalise, normalise

HEIGHT, WIDTH = 24, 30


def test_augment_draws_each_choice_and_only_what_is_on() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    sample = make_sample(image, {"edges": image[..., 0] > 200}, {}, "made")
    off = Augmentation(flip=False, zoom=(1.0,))
    generator = np.random.default_rng(0)
    for _ in range(8):
        same = augment(sample, HEIGHT, WIDTH, off, generator)
        np.testing.assert_array_equal(same.image, sample.image)
        np.testing.assert_array_equal(same.targets["edges"], sample.targets["edges"])
    flips = [
        augment(sample, HEIGHT, WIDTH, Augmentation(zoom=(1.0,)), generator).image[0, 0]
        for _ in range(400)
    ]
    assert 140 < sum((corner == sample.image[0, 0]).all() for corner in flips) < 260
    zooms = Augmentation(flip=False, zoom=(1.0, 2.0, 4.0))
    depth = make_sample(sample.image, {"depth": np.full((HEIGHT, WIDTH), 8.0)}, {}, "flat")
    seen = {
        float(augment(depth, HEIGHT, WIDTH, zooms, generator).targets["depth"].max())
        for _ in range(60)
    }
    assert seen == {8.0, 4.0, 2.0}
    grey = Sample(np.full((4, 4, 3), 200, np.uint8), {}, {})
    lit = Augmentation(flip=False, zoom=(1.0,), brightness=0.5)
    levels = [int(augment(grey, 4, 4, lit, generator).image.max()) for _ in range(200)]
    assert 99 <= min(levels) < 130 and max(levels) == 255


def test_normalise_is_undone_for_every_colour() -> None:
    colours = np.arange(256, dtype=np.uint8)[:, None].repeat(3, 1)
    values = normalise(colours)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(denormalise(values), colours)
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(values[255], expected, rtol=1e-5)
    assert denormalise(np.float32([[99, -99, 0]])).tolist() == [[255, 0, 104]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("zoom", ()),
        ("zoom", (1.0, 0.0)),
        ("zoom", (-1.2,)),
        ("zoom", (float("nan"),)),
        ("zoom", (float("inf"),)),
        ("brightness", -0.1),
        ("brightness", 1.0),
        ("brightness", float("nan")),
    ],
)
def test_bad_settings_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Augmentation(**{field: value})
