"""The pictures of architectures, and the page that shows them."""

import pathlib

import pytest

import mtl_tf as mtl
from mtl_tf.architectures.__main__ import markdown
from mtl_tf.inspection.drawing import _box_name, boxes
from tests.helpers.docs import generated, page
from tests.helpers.inputs import tiny_backbone

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
TASKS = {"semseg": 5, "depth": 1}


def test_the_docs_list_every_architecture():
    text = page("architectures.md")
    assert generated.linked(markdown()).rstrip() in text
    for name in mtl.architectures.TABLE:
        assert f"### `{name}`" in text


def test_every_architecture_has_its_picture():
    pictures = {path.stem for path in (DOCS / "architectures").glob("*.svg")}
    assert pictures == set(mtl.architectures.TABLE), "run: python examples/draw_architectures.py"


def test_a_cross_stitch_network_is_two_rows_that_meet_after_every_stage():
    model = mtl.architectures.CrossStitch("resnet18", TASKS, (32, 32, 3), head="conv")
    found = boxes(model)
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        assert found[f"cross_stitch.{stage}"].sources == {
            f"backbone.{task}.{stage}" for task in TASKS
        }
    assert found["backbone.depth.layer2"].sources == {"cross_stitch.layer1"}
    assert found["backbone.depth.layer2"].task == "depth"
    assert found["backbone.depth.stem"].sources == {"image"}
    parts = {box.part for box in found.values()}
    assert parts == {"image", "backbone", "exchange", "heads"}


def test_mtan_attends_to_a_stage_and_to_what_was_refined():
    found = boxes(mtl.architectures.MTAN("resnet18", TASKS, (32, 32, 3), output_stride=32))
    assert found["attention_2.depth"].sources == {"backbone.layer2", "refine_1"}
    assert found["refine_1"].sources == {"attention_1.depth", "attention_1.semseg"}
    assert found["heads.depth"].sources == {"attention_4.depth"}


@pytest.mark.parametrize("name", mtl.architectures.TABLE)
def test_every_box_comes_after_its_sources_and_leads_to_a_prediction(name):
    tasks = {"depth": 1} if name == "single_task" else TASKS
    model = mtl.architectures.TABLE[name].cls(tiny_backbone(), tasks, (16, 24, 3))
    found = boxes(model)
    used = set().union(*(box.sources for box in found.values()))
    for box in found.values():
        assert all(found[source].column < box.column for source in box.sources)
        assert box.part == "heads" or box.name in used
    assert {box.task for box in found.values() if box.part == "heads"} == set(tasks)


def test_the_same_model_gives_the_same_file(tmp_path):
    model = mtl.architectures.Branched(tiny_backbone(), TASKS, (16, 24, 3))
    for name in ("a.svg", "b.svg"):
        mtl.architectures.draw(model, tmp_path / name)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert first.startswith(b"<?xml")
    mtl.architectures.draw(model, tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("layer", "box"),
    [
        ("decoder.0.convs.1.0", "heads.depth"),
        ("backbone.1.last_layer.0", "backbone.fuse"),
        ("backbone.0.bn2", "backbone.stem"),
        ("backbone.transition2.2.0.1", "backbone.stage3"),
        ("backbone.depth+a.b.layer2.0.conv1", "backbone.depth+a.b.layer2"),
        ("nddr.stage2.1.layer.depth.0", "nddr.stage2.depth"),
        ("attention_2.1.depth.3", "attention_2.depth"),
        ("refine_1.0", "refine_1"),
        ("scale_2.refinement.depth.0.conv1", "scale_2.depth"),
        ("branching", "branching"),
        ("fpm_scale_1.se.depth.squeeze.0", "fpm_1"),
        ("re_lu_3", None),
    ],
)
def test_the_box_of_a_layer_follows_from_its_name(layer, box):
    assert _box_name(layer, ["depth", "a.b"]) == box
