"""Files, modules and entry points that hold tasks and data sets of users."""

import importlib.metadata
import json
import sys

import pytest

from mtl_tf import experiments
from mtl_tf.experiments import plugins
from mtl_tf.experiments.config import read_config
from mtl_tf.tasks import TASKS

TASK = "import mtl_tf as mtl\nheat = mtl.TASKS['depth']\n"


@pytest.fixture(autouse=True)
def _modules_and_path(monkeypatch, tmp_path):
    """No file of a test stays imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def write(path, text=TASK):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return f"{path}:heat"


@pytest.mark.parametrize("text", ["depth", "os.path:join", "/a/b.py:heat"])
def test_checked_text_stays(text):
    assert plugins.checked_task(text) == text


@pytest.mark.parametrize(
    "text", ["heat", ":heat", "a.py:", "a.py:heat()", "a b:heat", "a.b.:heat", "../a:heat", "a:b c"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"path/to/file\.py:NAME or package\.module:NAME"):
        plugins.checked_task(text)
    with pytest.raises(ValueError, match="NAME"):
        plugins.checked_dataset(text)


def test_a_file_is_imported_once_under_its_own_name(tmp_path):
    text = write(tmp_path / "my_own_heat.py", f"{TASK}import my_neighbour\ncount = []\n")
    (tmp_path / "my_neighbour.py").write_text("")
    assert plugins.load_tasks([text, "semseg"]) == {n: TASKS[n] for n in ("depth", "semseg")}
    module = sys.modules["my_own_heat"]
    plugins.load_tasks([text])
    assert sys.modules["my_own_heat"] is module


def test_files_of_one_name_and_names_of_other_modules(tmp_path):
    texts = [write(tmp_path / folder / "rooms_of_mine.py") for folder in "ab"]
    texts.append(write(tmp_path / "json.py"))
    texts.append(write(tmp_path / "with-hyphen.py"))
    files = []
    for text in texts:
        assert list(plugins.load_tasks([text])) == ["depth"]
        files.append(f"{text.removesuffix(':heat')}")
    imported = {getattr(module, "__file__", None) for module in sys.modules.values()}
    assert set(files) <= imported
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_to_be_seen", "line 1: ModuleNotFoundError"),
        ("\n\n1 / 0", "line 3: ZeroDivisionError"),
        ("heat =", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("heat = 3", "must be an mtl_tf.Task.*Received: 3"),
        ("def heat(channels): pass", "cannot be called.*channels"),
        ("def heat(): pass", "must be an mtl_tf.Task.*Received: None"),
        ("warm = 3", "has no 'heat'. It has: warm"),
        ("", "has no 'heat'. It has: nothing"),
    ],
)
def test_errors_in_a_file(tmp_path, text, message):
    reference = write(tmp_path / "damaged_code.py", text)
    with pytest.raises(ValueError, match=message):
        plugins.load_tasks([reference])
    with pytest.raises(ValueError, match="damaged_code"):
        plugins.load_tasks([reference])


def test_entry_points(tmp_path, monkeypatch):
    write(tmp_path / "installed_tasks.py")
    sys.path.append(str(tmp_path))
    entry = importlib.metadata.EntryPoint("warmth", "installed_tasks:heat", plugins.GROUP)
    broken = importlib.metadata.EntryPoint("cold", "nowhere:cold", plugins.GROUP)
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group, name: [one for one in (entry, broken) if one.name == name],
    )
    assert experiments.make_config(tasks=("warmth", "depth")).tasks == ("warmth", "depth")
    assert plugins.load_tasks(["warmth"]) == {"depth": TASKS["depth"]}
    with pytest.raises(ValueError, match=r"cold of mtl_tf\.tasks cannot be loaded: ModuleNotFound"):
        plugins.load_tasks(["cold"])


def test_a_configuration_is_read_without_running_code(tmp_path):
    text = write(tmp_path / "trap.py", "raise AssertionError('imported')")
    config = experiments.make_config(tasks=(text,), data=text, best_by="heat")
    (tmp_path / "config.json").write_text(config.to_json())
    assert read_config(tmp_path / "config.json") == config
    with pytest.raises(ValueError, match=r"trap\.py cannot be imported, line 1"):
        experiments.load_data(config)


def test_files_may_move(tmp_path):
    here, there = (
        experiments.make_config(tasks=(f"/{f}/a.py:heat", "depth"), data=f"/{f}/b.py:Rooms")
        for f in "xy"
    )
    assert here != there and here.identity() == there.identity()
    assert here.identity()["tasks"] == ["a.py:heat", "depth"]
    assert "data" not in experiments.make_config().identity()
