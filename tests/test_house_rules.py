"""Rules of the house that a reader relies on."""

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "mtl_tf"
MODULES = sorted(PACKAGE.rglob("*.py"))
RELATIVE_CLAUSE = re.compile(r"(What|Which|Whose|Where|Whether|How)\b")
BANNED = (
    "found",
    "heed",
    "told",
    "anew",
    "afresh",
    "begun",
    "so many",
    "as far as",
    "in the place of",
    "mend",
)
TASK_NAMES = ("semseg", "depth", "normals", "edges", "saliency", "human_parts")
NAMED_TASKS_BELONG_IN = re.compile(
    r"mtl_tf/(tasks\.py|targets\.py|data/|experiments/(presets|published)\.py"
    r"|evaluation/official_json\.py)"
)


def grep(*arguments):
    command = ["git", "grep", "-nI", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_summary_line_is_a_relative_clause(path):
    documented = ast.Module | ast.ClassDef | ast.FunctionDef
    for node in ast.walk(ast.parse(path.read_text())):
        doc = ast.get_docstring(node) if isinstance(node, documented) else None
        assert not (doc and RELATIVE_CLAUSE.match(doc)), doc.splitlines()[0]


def test_the_step_has_types():
    assert not grep("-E", "(compiled|plan): Any", "--", "mtl_tf")


def test_native_adapters_are_few():
    files = [p for p in (ROOT / "ops" / "tensorflow").iterdir() if p.suffix in (".cc", ".h")]
    assert sum(len(p.read_text().splitlines()) for p in files) < 700


def test_folders_are_not_crowded():
    crowded = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py")))
        for folder in PACKAGE.rglob("*")
        if folder.is_dir() and folder.name != "architectures"
    }
    assert {name for name, count in crowded.items() if count > 15} == set()


def test_prose_has_the_field_s_words():
    pattern = r"\b(" + "|".join(BANNED) + r")\b"
    assert not grep("-wiE", pattern, "--", "mtl_tf", "ops", "docs")


def test_tasks_are_not_known_by_name():
    quoted = '"(' + "|".join(TASK_NAMES) + ')"'
    lines = [
        line
        for line in grep("-E", quoted, "--", "mtl_tf")
        if not NAMED_TASKS_BELONG_IN.match(line) and ">>>" not in line  # examples may
    ]
    assert len(lines) < 5


def test_a_balancing_method_is_said_once():
    assert len(grep("-w", "NashMTL", "--", "mtl_tf", "docs")) <= 4


def test_one_table_of_native_ops():
    files = [p for p in (ROOT / "ops" / "tensorflow").iterdir() if p.suffix in (".cc", ".h")]
    assert len(files) <= 4
