"""Pages in a real browser, without a screen: width, contrast, print, keyboard, no request outside.

They need Playwright (`pip install playwright`) and Chromium on the PATH, and are skipped without.
"""

import pathlib
import re
import shutil
import subprocess
import threading

import numpy as np
import pytest

import mtl_tf as mtl
from mtl_tf.experiments.live.server import make_server
from tests.evaluation.test_evaluate import perfect
from tests.experiments.live.test_live import make_run
from tests.helpers.inputs import TASKS, batch

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ROOT = pathlib.Path(__file__).parents[2]
CUT_CODE = """[...document.querySelectorAll("pre code")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1).length"""
CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = lum(parse(getComputedStyle(document.body).backgroundColor));
  const low = [];
  const texts = "p, td, th, a, h1, h2, h3, figcaption, button, span, li";
  for (const e of document.querySelectorAll(texts)) {
    if (!e.textContent.trim() || e.closest("svg") || e.closest("dialog")) continue;
    const ink = lum(parse(getComputedStyle(e).color));
    const [a, b] = [ink, paper].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(e.tagName + ": " + e.textContent.slice(0, 40));
  }
  return low;
}"""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of a network that is right in one image and wrong in the others."""
    image, targets, masks = batch()
    outputs = {
        task: np.concatenate([raw[:1], raw[:0:-1]]) for task, raw in perfect(targets).items()
    }
    diagnostics = mtl.evaluation.Diagnostics()
    states = mtl.evaluation.evaluate_images(
        lambda image, training: outputs, [(image, targets, masks)], TASKS, observe=diagnostics
    )
    results = states.results()
    epoch = {f"{t}_{kind}": 1.0 for t in TASKS for kind in ("loss", "weight")}
    epoch |= {f"val_{t.name}_{t.main_metric}": 0.5 for t in states.tasks.values()}
    summary = {"results": results, "baseline": results, "history": [epoch, epoch]}
    pictures = [
        {
            "name": f"image {i}",
            "image": np.full((32, 64, 3), 128, np.uint8),
            **{
                part: {t: v[i] for t, v in values.items()}
                for part, values in (("outputs", outputs), ("targets", targets), ("masks", masks))
            },
        }
        for i in range(3)
    ]
    cases = {task: {"best": {**pictures[0], "score": 0.5}} for task in TASKS}
    folder = tmp_path_factory.mktemp("report")
    diagnosis = diagnostics.result(states)
    return mtl.evaluation.write_report(folder, summary, pictures, TASKS, diagnosis, cases)


def opened(browser, address, width=1280, scheme="light"):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    inside = ("data:", "file:", "http://127.0.0.1", "blob:")
    page.on("request", lambda r: r.url.startswith(inside) or problems.append(r.url))
    page.goto(address)
    return page, problems


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_report_fits_and_can_be_read(browser, report, width, scheme):
    page, problems = opened(browser, report.as_uri(), width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate(CONTRAST) == []
    without_text = "[...document.images].filter((i) => !i.alt && !i.closest('dialog')).length"
    assert page.evaluate(without_text) == 0
    targets = page.evaluate(
        "[...document.querySelectorAll('nav a[href^=\"#\"]')].map((a) => a.hash)"
    )
    assert targets and all(page.query_selector(target) for target in targets)
    assert problems == []


def test_pictures_grow_and_columns_sort_with_the_keyboard(browser, report):
    page, _ = opened(browser, report.as_uri())
    page.focus("[data-zoom]")
    page.keyboard.press("Enter")
    assert page.is_visible("#zoom img")
    page.keyboard.press("Escape")
    assert not page.is_visible("#zoom img")
    table = "#results + .scroll table"
    page.click(f"{table} th:nth-child(3) button")
    values = page.eval_on_selector_all(
        f"{table} tbody td:nth-child(3)", "cells => cells.map((c) => parseFloat(c.textContent))"
    )
    assert values == sorted(values) and len(set(values)) > 3
    page.click(f"{table} th:nth-child(3) button")
    assert page.get_attribute(f"{table} th:nth-child(3)", "aria-sort") == "descending"


def test_paper_has_every_task(browser, report, tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext (poppler-utils)")
    page, _ = opened(browser, report.as_uri())
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    command = ["pdftotext", str(tmp_path / "report.pdf"), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for task in TASKS:
        assert len(re.findall(rf"{task},\s+predicted", re.sub(r"\s+", " ", text))) >= 1, task
    assert "All options and versions" in text


def test_the_live_view_follows_a_run(browser, tmp_path):
    make_run(tmp_path / "first", finished=True)
    with make_server(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page, problems = opened(browser, f"http://127.0.0.1:{server.server_address[1]}/")
        page.wait_for_selector("[data-run=first]")
        make_run(tmp_path / "second")
        page.wait_for_selector("[data-run=second]", timeout=8000)
        page.check("[data-run=first]")
        page.check("[data-run=second]")
        page.wait_for_function("document.querySelectorAll('[data-run]:checked').length == 2")
        page.wait_for_function("document.body.textContent.includes('Learning rate')")
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        assert problems == []
        server.shutdown()


def test_the_documentation_opens_from_disk_and_searches(browser):
    index = ROOT / "site" / "index.html"
    if not index.is_file():
        pytest.skip("no site: make docs")
    page, problems = opened(browser, index.as_uri())
    page.click(".md-search__input")
    page.keyboard.type("latency")
    page.wait_for_selector(".md-search-result__item h1", timeout=10_000)
    assert "Deploying" in page.inner_text(".md-search-result")
    for path in sorted((ROOT / "site").glob("*.html")):
        page.goto(path.as_uri())
        assert page.evaluate(CUT_CODE) == 0, path.name
    assert problems == []


def test_no_table_of_the_documentation_is_cut_on_paper(browser):
    if not (ROOT / "site" / "index.html").is_file():
        pytest.skip("no site: make docs")
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 without its margins
    page.emulate_media(media="print")
    for path in sorted((ROOT / "site").glob("*.html")):
        page.goto(path.as_uri())
        widest = "Math.max(0, ...[...document.querySelectorAll('table')].map((t) => t.scrollWidth))"
        assert page.evaluate(widest) <= page.evaluate("document.documentElement.clientWidth"), path
