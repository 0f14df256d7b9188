"""Every Python block of the documentation runs as pasted, page by page, on small data."""

import json
import pathlib
import re

import pytest

from tests.helpers.docs import figures
from tests.helpers.slow import slow_but

DOCS = pathlib.Path(__file__).parent.parent / "docs"
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = {page.stem: FENCE.findall(page.read_text()) for page in sorted(DOCS.glob("*.md"))}
SMALL_ROOMS = "input_shape=(32, 64, 3), train_size=8, val_size=2, batch_size=4, "
SMALL = {
    "tuple(tasks), input_shape=(96, 128, 3)": "tuple(tasks)",  # SMALL_ROOMS has one
    "RenderedRooms(": f"RenderedRooms({SMALL_ROOMS}",
    "(96, 128, 3)": "(32, 64, 3)",
    "(480, 640, 3)": "(32, 64, 3)",
    "(256, 256, 3)": "(64, 64, 3)",
    "np.linspace(1, r.uniform(2, 8), 128,": "np.linspace(1, r.uniform(2, 8), 64,",
    "np.ones((96, 1)": "np.ones((32, 1)",
    "epochs=100": "epochs=1",
    "epochs=50": "epochs=1",
    "epochs=10": "epochs=1",
    "epochs=3)": "epochs=1)",
}
# Lines that fetch something from the network, which tests do not.
FETCHES = ("mtl.backbones.load_pretrained", "keras_hub(")


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
    for number, block in enumerate(PAGES[page]):
        exec(compile(small(block), f"{page}.md, block {number}", "exec"), names)


def test_links_between_pages_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for link in re.findall(r"\]\(((?!http)[^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_page_is_in_the_menu():
    menu = (DOCS.parent / "mkdocs.yml").read_text()
    for page in set(DOCS.rglob("*.md")) - set((DOCS / "results").iterdir()):
        assert f" {page.relative_to(DOCS).as_posix()}\n" in menu, page


def test_every_paper_is_of_a_method():
    import mtl_tf as mtl

    tables = mtl.balancing.TABLE, mtl.architectures.TABLE
    cited = {f"{row.paper} {row.year}" for table in tables for row in table.values()}
    papers = json.loads((DOCS / "papers.json").read_text())
    assert set(papers) <= cited and len(set(papers.values())) == len(papers)
    assert len(cited - set(papers)) <= 6  # not on arXiv


PROSE = {path.name: path.read_text() for path in (DOCS.parent / "README.md", *DOCS.glob("*.md"))}
# Units of what only a measurement tells; results.md describes the run beside it.
MEASURED = re.compile(
    r"[\d.]+ ?(?:ms\b|s a step|MB\b|minutes|hours|images a second|times (?:faster|slower))"
)
QUOTED = re.compile(r"<!-- (figure|generated): (\w+) -->(.*?)<!-- end -->", re.DOTALL)


@pytest.mark.parametrize("page", PROSE)
def test_numbers_in_prose_are_the_stored_ones(page):
    assert figures.with_figures(PROSE[page]) == PROSE[page], "run: python docs/generated.py"


@pytest.mark.parametrize("page", sorted(set(PROSE) - {"results.md"}))
def test_no_measured_number_is_typed(page):
    typed = re.sub(r"^```.*?^```", "", QUOTED.sub("", PROSE[page]), flags=re.MULTILINE | re.DOTALL)
    assert not MEASURED.findall(typed), "store it in docs/results/figures.json and quote it"


def test_every_stored_number_is_quoted_and_has_a_source():
    stored = json.loads((DOCS / "results" / "figures.json").read_text())
    names = {name for text in PROSE.values() for _, name, _ in QUOTED.findall(text)}
    assert set(stored) <= names
    for name, entry in stored.items():
        assert set(entry) == {"text", "measured", "on", "command"} and all(entry.values()), name


def test_an_unknown_number_is_an_error():
    with pytest.raises(KeyError, match="unheard_of"):
        figures.with_figures("<!-- figure: unheard_of -->7<!-- end -->")
