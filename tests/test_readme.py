"""The README's Python example runs, and its commands exist."""

import pathlib
import re

from PIL import Image

from tests.helpers.docs import generated

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.strip().splitlines()) <= 12
    small = (
        code.replace("epochs=3", "epochs=1")
        .replace(
            "RenderedRooms(", "RenderedRooms(input_shape=(32, 64, 3), train_size=8, val_size=2, "
        )
        .replace("(96, 128, 3)", "(32, 64, 3)")
    )
    assert small != code
    names = {}
    exec(compile(small, "README.md", "exec"), names)
    assert names["results"]["depth"]["rmse"] > 0


def test_the_first_prediction_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (320, 240), (120, 90, 60)).save("photo.jpg")
    code, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["prediction"].semseg.shape == (240, 320)
    assert len(list(pathlib.Path("predictions").iterdir())) >= 8


def test_its_numbers_are_the_stored_ones():
    assert README.count("<!-- generated: ") == 2
    assert generated.readme(README) == README, "run: python docs/generated.py"


def test_make_targets_named_in_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)`?", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_pictures_and_pages_linked_in_the_readme_exist():
    for link in re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link
