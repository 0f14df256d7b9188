"""Named configurations: small ones to start with, and the rows of the survey's tables.

====================================== =================================================
name                                   configuration
====================================== =================================================
`demo`                                 rendered rooms, minutes
`quick`                                four tasks of NYU Depth v2, from ImageNet weights
`realtime`                             as `quick`, with a decoder that the tasks share
`data/architecture_backbone`           a row of the survey, such as `nyud/mti_net_hrnet18`
`data/architecture_backbone_METHOD`    a row of its table of balancing methods
`data/..._edges_normals`               a row with auxiliary tasks
`data/single_task_TASK_backbone`       a reference network of Delta-m
====================================== =================================================

The survey starts all of them from ImageNet weights: `weights="imagenet"`, or a file.

Source: Vandenhende et al., TPAMI 2021, sections 4 and 5, and the configurations published with it.
"""

from typing import Any

Options = dict[str, Any]

DEFAULT_TASKS = ("semseg", "human_parts", "saliency", "normals", "edges", "depth")
"""The tasks of a configuration that names none: the survey's six."""

_DEMO: Options = {
    "data": "rendered_rooms",
    "tasks": DEFAULT_TASKS,
    "train_size": 480,
    "val_size": 60,
    "epochs": 6,
    "loss_weights": {"edges": 30.0, "normals": 5.0, "saliency": 5.0, "human_parts": 2.0},
    "learning_rate": 1e-3,
}
_QUICK: Options = {
    "data": "nyud",
    "tasks": ("semseg", "depth", "normals", "edges"),
    "num_classes": 13,
    "height": 192,
    "width": 256,
    "backbone": "efficientnet_lite0",
    "weights": "imagenet",
    "epochs": 20,
    "zoom": (1.0, 1.2, 1.5),
    "random_position": True,
    "brightness": 0.2,
    "loss_weights": {"edges": 10.0, "normals": 4.0},
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "weight_decay": 0.02,
    "schedule": "cosine",
    "warmup_epochs": 1.0,
    "ema_momentum": 0.995,
}
_REALTIME: Options = {
    **_QUICK,
    "architecture": "light_weight_refinenet",
    "architecture_options": {"channels": 128},
}

# === The survey ===

_ALL_ROWS: Options = {
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 1e-4,
    "schedule": "poly",
    "epochs": 100,
    "best_of": 10,
    "batch_size": 8,
    "cache": False,
}
_NYUD: Options = {
    **_ALL_ROWS,
    "data": "nyud",
    "tasks": ("semseg", "depth"),
    "num_classes": 40,
    "height": 480,
    "width": 640,
    "zoom": (1.0, 1.2, 1.5),
}
_PASCAL: Options = {
    **_ALL_ROWS,
    "data": "pascal_context",
    "tasks": ("semseg", "human_parts", "saliency", "normals", "edges"),
    "height": 512,
    "width": 512,
    "edge_tolerance": 0.0075,
    "zoom": (0.75, 1.25),
    "zoom_between": True,
    "rotation_deg": 20.0,
    "loss_weights": {"human_parts": 2.0, "saliency": 5.0, "edges": 50.0, "normals": 10.0},
}
_AUXILIARY: Options = {
    "tasks": ("semseg", "normals", "edges", "depth"),
    "auxiliary_tasks": ("normals", "edges"),
    "loss_weights": {"edges": 50.0, "normals": 10.0},
}

_BACKBONES: dict[str, Options] = {
    "r18": {"backbone": "resnet18", "head": "deeplab", "output_stride": 8},
    "r50": {"backbone": "resnet50", "head": "deeplab", "output_stride": 8},
    "hrnet18": {"backbone": "hrnet_w18_small_v2", "head": "high_resolution"},
}
_SGD: Options = {"optimizer": "sgd"}
_BALANCED = ("uncertainty", "dwa", "gradnorm", "mgda")

_Row = tuple[str, str]  # architecture, suffix of the preset's name
# {table: (options of all rows, options of its single-task networks, {row: other options})}
_TABLES: dict[str, tuple[Options, Options, dict[_Row, Options]]] = {
    "nyud_r50": (
        _NYUD | _BACKBONES["r50"],
        {},
        {
            ("shared_trunk", ""): {},
            ("mtan", ""): {},
            ("cross_stitch", ""): _SGD | {"learning_rate": 1e-3, "epochs": 50},
            ("nddr_cnn", ""): _SGD | {"learning_rate": 1e-3, "epochs": 50},
            **{("shared_trunk", f"_{method}"): {"balancing": method} for method in _BALANCED},
        },
    ),
    "nyud_hrnet18": (
        _NYUD | _BACKBONES["hrnet18"],
        {},
        {
            ("shared_trunk", ""): {},
            ("pad_net", ""): {},
            ("pad_net", "_edges_normals"): _AUXILIARY,
            ("mti_net", ""): {},
            ("mti_net", "_edges_normals"): _AUXILIARY,
        },
    ),
    "pascal_r18": (
        _PASCAL | _BACKBONES["r18"] | {"batch_size": 6},
        {"batch_size": 12, "epochs": 60},
        {
            ("shared_trunk", ""): {},
            ("mtan", ""): _SGD | {"learning_rate": 5e-3},
            ("cross_stitch", ""): _SGD | {"learning_rate": 5e-3, "batch_size": 12, "epochs": 20},
            ("nddr_cnn", ""): _SGD | {"learning_rate": 5e-3, "batch_size": 12, "epochs": 20},
            **{("shared_trunk", f"_{method}"): {"balancing": method} for method in _BALANCED},
        },
    ),
    "pascal_hrnet18": (
        _PASCAL | _BACKBONES["hrnet18"],
        _SGD | {"learning_rate": 1e-2, "epochs": 60},
        {("shared_trunk", ""): {}, ("pad_net", ""): {}, ("mti_net", ""): {}},
    ),
}


def _presets_of_table(table: str) -> dict[str, Options]:
    base, single_task, rows = _TABLES[table]
    data, backbone = table.split("_")
    presets = {}
    for task in base["tasks"]:
        network = {"tasks": (task,), "loss_weights": {}, "architecture": "single_task"}
        presets[f"{data}/single_task_{task}_{backbone}"] = {**base, **single_task, **network}
    for (architecture, suffix), options in rows.items():
        name = f"{data}/{architecture}_{backbone}{suffix}"
        presets[name] = {**base, "architecture": architecture, **options}
    return presets


def survey_of_table(table: str) -> dict[str, Any]:
    """Return the survey that trains all rows of a table: see `SURVEYS`."""
    base, single_task, table_rows = _TABLES[table]
    rows = []
    for (architecture, _), options in table_rows.items():
        label = " + ".join((architecture, *options.get("auxiliary_tasks", ())))
        balancing = options.get("balancing", "fixed_weights")
        rows.append((label, balancing, {"architecture": architecture, **options}))
    return {"base": base, "alone": single_task, "rows": rows}


TABLES = tuple(_TABLES)
"""Names of the survey's tables: data set and backbone."""

PRESETS: dict[str, Options] = {
    "demo": _DEMO,
    "quick": _QUICK,
    "realtime": _REALTIME,
    **{name: options for table in _TABLES for name, options in _presets_of_table(table).items()},
}
"""Named configurations; all other options have the defaults of `Config`."""

_SMOKE = {
    "data": "rendered_rooms",
    "tasks": ("semseg", "depth", "normals"),
    "train_size": 96,
    "val_size": 16,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "loss_weights": {"normals": 5.0},
}
_MICRO = {
    "data": "nyud",
    "tasks": ("semseg", "depth"),
    "num_classes": 13,
    "height": 64,
    "width": 96,
    "zoom": (1.0, 1.2, 1.5),
    "backbone": "hrnet_w18_small_v2",
    "head": "high_resolution",
    "epochs": 5,
    "best_of": 2,
    "learning_rate": 1e-3,
}
SURVEYS: dict[str, dict[str, Any]] = {
    "smoke": {
        "base": _SMOKE,
        "rows": [
            (a, b) for a in ("shared_trunk", "mtan") for b in ("fixed_weights", "uncertainty")
        ],
    },
    "micro": {
        "base": _MICRO,
        "rows": [
            *(
                (a, "fixed_weights")
                for a in ("shared_trunk", "cross_stitch", "mtan", "pad_net", "mti_net")
            ),
            *(("shared_trunk", b) for b in ("uncertainty", "dwa", "gradnorm", "mgda", "pcgrad")),
        ],
    },
    **{table: survey_of_table(table) for table in TABLES},
}
"""Named surveys: options of all cells (`base`), of single-task ones (`alone`), and the rows."""
