"""Published numbers of the survey's rows, and the differences between their protocol and a run's.

Source: Vandenhende et al., TPAMI 2021, table 5, as quoted by other papers and notes; for HRNet the
first README (2020) of the code published with it. Numbers without a readable source are left out.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mtl_tf.experiments.config import Config, make_config

_TABLE_5 = "survey, table 5, as two others quote it"
_ONE_SOURCE = "survey, table 5, as one other quotes it"
_README = "first README of the published code (other augmentation, depth error of each image)"


@dataclasses.dataclass(frozen=True)
class Published:
    """Published numbers of one row.

    Attributes:
        results: `{task: value}` of the task's main metric: shares as fractions, depth in metres,
            angles in degrees; edges by the boundary benchmark (`ods_f`).
        delta_m: a fraction; `None` for single-task networks.
        source: of the numbers.
    """

    results: Mapping[str, float]
    delta_m: float | None
    source: str = _TABLE_5


def _nyud(miou: float, rmse: float, delta: float | None, source: str = _TABLE_5) -> Published:
    return Published({"semseg": miou / 100, "depth": rmse}, delta and delta / 100, source)


def _pascal(values: Sequence[float], delta: float | None, source: str = _TABLE_5) -> Published:
    semseg, parts, normals, saliency, edges = values
    results = {
        "semseg": semseg / 100,
        "human_parts": parts / 100,
        "normals": normals,
        "saliency": saliency / 100,
        "edges": edges / 100,
    }
    return Published(results, delta and delta / 100, source)


def _single_task(data: str, backbone: str, row: Published) -> dict[str, Published]:
    """Split a published row of single-task networks into one row for each network."""
    return {
        f"{data}/single_task_{task}_{backbone}": Published({task: value}, None, row.source)
        for task, value in row.results.items()
    }


def _only_delta(delta: float) -> Published:
    """Return a row without published results of its tasks."""
    return Published({}, delta / 100, _ONE_SOURCE)


PUBLISHED: dict[str, Published] = {
    **_single_task("nyud", "r50", _nyud(43.9, 0.585, None)),
    "nyud/shared_trunk_r50": _nyud(44.4, 0.587, 0.41),
    "nyud/mtan_r50": _nyud(45.0, 0.584, 1.32, _ONE_SOURCE),
    "nyud/cross_stitch_r50": _nyud(44.2, 0.570, 1.61),
    "nyud/nddr_cnn_r50": _nyud(44.2, 0.573, 1.38, _ONE_SOURCE),
    "nyud/shared_trunk_r50_uncertainty": _only_delta(-0.23),
    "nyud/shared_trunk_r50_dwa": _only_delta(-0.28),
    "nyud/shared_trunk_r50_gradnorm": _only_delta(1.45),
    "nyud/shared_trunk_r50_mgda": _only_delta(0.02),
    **_single_task("nyud", "hrnet18", _nyud(34.5, 0.610, None, _README)),
    "nyud/shared_trunk_hrnet18": _nyud(33.9, 0.610, -0.75, _README),
    "nyud/pad_net_hrnet18": _nyud(35.4, 0.614, 1.13, _README),
    "nyud/pad_net_hrnet18_edges_normals": _nyud(35.5, 0.593, 2.90, _README),
    "nyud/mti_net_hrnet18": _nyud(36.2, 0.563, 6.36, _README),
    "nyud/mti_net_hrnet18_edges_normals": _nyud(37.6, 0.539, 10.32, _README),
    **_single_task("pascal", "r18", _pascal((66.2, 59.9, 13.9, 66.3, 68.8), None)),
    "pascal/shared_trunk_r18": _pascal((63.8, 58.6, 14.9, 65.1, 69.2), -2.86),
    "pascal/mtan_r18": _only_delta(-2.39),
    "pascal/cross_stitch_r18": _pascal((66.1, 60.6, 13.9, 66.8, 69.9), 0.60),
    "pascal/nddr_cnn_r18": _only_delta(0.39),
    "pascal/shared_trunk_r18_mgda": _only_delta(-6.81),
    **_single_task("pascal", "hrnet18", _pascal((59.4, 60.3, 14.6, 67.0, 69.2), None, _README)),
    "pascal/shared_trunk_hrnet18": _pascal((55.4, 59.4, 15.0, 65.4, 71.6), -1.98, _README),
    "pascal/mti_net_hrnet18": _pascal((62.8, 62.2, 14.8, 67.4, 73.0), 2.72, _README),
}
"""Published numbers by preset."""

_IRRELEVANT = ("root", "weights", "seed", "diagnostics", "train_size", "val_size", "level", "cache")
_NETWORK = ("backbone", "head", "output_stride", "architecture_options")


def published_row(config: Config) -> str | None:
    """Return the preset with the published row that is closest to a run.

    Args:
        config: of the run.

    Returns:
        The name of a preset of the same data, architecture and method, with the fewest reasons
        against a comparison and then the fewest other options; `None` if there is none.
    """

    def distance(name: str) -> tuple[int, int]:
        return len(unlike(config, name)), len(differences(config, name))

    rows = [name for name in PUBLISHED if _is_like(config, _config_of(name))]
    return min(rows, key=distance, default=None)


def differences(config: Config, preset: str) -> list[str]:
    """List the differences between the protocols of a run and of a published row.

    Args:
        config: of the run.
        preset: name of the row.

    Returns:
        Texts such as `epochs 3 instead of 100`; the first one says if the backbone was not
        pretrained.
    """
    theirs = _config_of(preset).model_dump()
    texts = [] if config.weights else ["backbone not pretrained on ImageNet"]
    texts += [
        f"{name} {_text(value)} instead of {_text(theirs[name])}"
        for name, value in config.model_dump().items()
        if name not in _IRRELEVANT and value != theirs[name]
    ]
    return texts


def unlike(config: Config, preset: str) -> list[str]:
    """List the reasons not to compare a run with a published row.

    Results can be compared where data, tasks, classes, image size and network are the same; only
    the training may differ.

    Args:
        config: of the run.
        preset: name of the row.

    Returns:
        Texts such as `13 classes instead of 40`; empty if the results can be compared.
    """
    theirs = _config_of(preset)
    reasons = []
    if config.data != theirs.data:
        reasons.append(f"data {config.data} instead of {theirs.data}")
    for name in ("tasks", "auxiliary_tasks"):
        ours, others = getattr(config, name), getattr(theirs, name)
        if set(ours) != set(others):
            reasons.append(f"{name.replace('_', ' ')} {_text(ours)} instead of {_text(others)}")
    if config.num_classes != theirs.num_classes and "semseg" in config.tasks:
        reasons.append(f"{config.num_classes} classes instead of {theirs.num_classes}")
    sizes = [f"{one.height}×{one.width}" for one in (config, theirs)]
    if sizes[0] != sizes[1]:
        reasons.append(f"images of {sizes[0]} instead of {sizes[1]}")
    for name in _NETWORK:
        ours, others = getattr(config, name), getattr(theirs, name)
        if ours != others:
            reasons.append(f"{name.replace('_', ' ')} {_text(ours)} instead of {_text(others)}")
    return reasons


def published_beside(config: Config) -> dict[str, Any] | None:
    """Return the published numbers to store with a run and show in its report.

    Args:
        config: of the run.

    Returns:
        `preset`, `results`, `delta_m`, `source`, `differences` and `why_not` of the closest
        published row. If the two cannot be compared, `why_not` has the reasons, and `results` and
        `delta_m` are empty. `None` if there are no published numbers for this data set,
        architecture and method.
    """
    name = published_row(config)
    if name is None:
        return None
    reasons = unlike(config, name)
    row = Published({}, None, PUBLISHED[name].source) if reasons else PUBLISHED[name]
    return {
        "preset": name,
        **dataclasses.asdict(row),
        "differences": differences(config, name),
        "why_not": "; ".join(reasons),
    }


def _config_of(preset: str) -> Config:
    return make_config(preset, root="/")  # `root` is not compared


def _is_like(ours: Config, theirs: Config) -> bool:
    same: tuple[str, ...] = ("data", "architecture", "balancing")
    if theirs.architecture == "single_task":
        same += ("tasks",)
    return all(getattr(ours, name) == getattr(theirs, name) for name in same)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
