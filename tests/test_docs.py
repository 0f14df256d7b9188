"""Every Python block of the documentation runs, page by page, on small data."""

import pathlib
import re
import textwrap

import pytest

from tests.helpers.slow import slow_but

DOCS = pathlib.Path(__file__).parent.parent / "docs"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {page.stem: FENCE.findall(page.read_text()) for page in sorted(DOCS.glob("*.md"))}
SMALL_ROOMS = "input_shape=(32, 64, 3), train_size=8, val_size=2, batch_size=4, "
SMALL = {
    "RenderedRooms(": f"RenderedRooms({SMALL_ROOMS}",
    "(96, 128, 3)": "(32, 64, 3)",
    "(480, 640, 3)": "(32, 64, 3)",
    "(256, 256, 3)": "(64, 64, 3)",
    "np.linspace(1, r.uniform(2, 8), 128,": "np.linspace(1, r.uniform(2, 8), 64,",
    "np.ones((96, 1)": "np.ones((32, 1)",
    "epochs=100": "epochs=1",
    "epochs=50": "epochs=1",
    "epochs=10": "epochs=1",
}
# Lines that fetch something from the network, which tests do not.
FETCHES = ("mtl.backbones.load_pretrained", "keras_hub(")
# What a page takes for granted.
BEFORE = {
    "architectures": """
        import keras, mtl_tf as mtl
        shape = (32, 64, 3)
        data = mtl.data.RenderedRooms(tasks=("semseg", "depth"))
        images = next(iter(data.train()))[0]
        backbone = "resnet18"
    """,
    "balancing": """
        import keras, mtl_tf as mtl, tensorflow as tf
        tasks = {"depth": 1, "edges": 1}
        model = mtl.architectures.SharedTrunk("resnet18", tasks, (96, 128, 3), head="conv")
        trainer = mtl.MultiTaskTrainer(model, tasks)
        optimizer = keras.optimizers.Adam()
    """,
    "data": """
        import mtl_tf as mtl
        nyud = mtl.data.RenderedRooms(tasks=("semseg", "depth"))
        bsds_sod = mtl.data.RenderedRooms(tasks=("edges", "saliency"))
        ccp = mtl.data.RenderedRooms(tasks=("human_parts",))
    """,
    "evaluation": """
        import mtl_tf as mtl, numpy as np
        data = mtl.data.RenderedRooms(tasks=("depth",))
        model = mtl.architectures.SharedTrunk("resnet18", data.tasks, (96, 128, 3), head="conv")
        images = [(np.eye(64), [np.eye(64, dtype=bool)], None)]
    """,
    "native_ops": """
        import keras, mtl_tf as mtl, tensorflow as tf
        image = keras.Input((32, 64, 3))
        model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
        batch = tf.random.normal((2, 32, 64, 3))
        task_losses = [lambda m, b, k=k: tf.reduce_mean(m(b) ** k) for k in (2, 4)]
        shared_variables, optimizer = model.trainable_variables, keras.optimizers.SGD()
        x = tf.random.normal((1, 8, 8, 16))
        features = [tf.random.normal((1, 8, 8, 256)) for _ in range(3)]
    """,
    "tasks": """
        import mtl_tf as mtl
        data = mtl.data.RenderedRooms(tasks=("semseg", "depth"))
    """,
}


def small(code):
    for large, little in SMALL.items():
        code = code.replace(large, little)
    return "".join(
        line for line in code.splitlines(keepends=True) if not any(f in line for f in FETCHES)
    )


@pytest.fixture
def with_files(tmp_path, monkeypatch):
    """The files that pages speak of."""
    import mtl_tf as mtl

    monkeypatch.chdir(tmp_path)
    results = {"semseg": {"miou": 0.4}, "depth": {"rmse": 0.6, "log_rmse": 0.2}}
    mtl.evaluation.write_official_results("results", results, "NYUD")
    return tmp_path


# `migrating_from_addons` is tested block by block in tests/addons.
@pytest.mark.parametrize(
    "page",
    slow_but(
        {
            "quickstart",
            "extending",
            "migrating_from_pytorch",
            "tasks",
            "balancing",
            "data",
            "native_ops",
        },
        [p for p, blocks in PAGES.items() if blocks and p != "migrating_from_addons"],
    ),
)
def test_blocks_run(page, with_files, monkeypatch):
    import mtl_tf as mtl

    monkeypatch.setattr(mtl.architectures, "load_torch_checkpoint", lambda model, path: None)
    names = {"__name__": "__main__"}
    exec(small(textwrap.dedent(BEFORE.get(page, ""))), names)
    for number, block in enumerate(PAGES[page]):
        exec(compile(small(block), f"{page}.md, block {number}", "exec"), names)


def test_links_between_pages_lead_somewhere():
    for page in DOCS.glob("*.md"):
        for link in re.findall(r"\]\(((?!http)[^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_page_is_in_the_menu():
    menu = (DOCS.parent / "mkdocs.yml").read_text()
    assert all(page.name in menu for page in DOCS.glob("*.md"))
