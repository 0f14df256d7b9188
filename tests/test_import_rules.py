"""Who may import whom: what is not written here is forbidden."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "mtl_tf"
ALLOWED = {
    "atomic_files": set(),
    "graph": set(),
    "images": set(),
    "startup": set(),
    "stopped": set(),
    "text": set(),
    "typing": set(),
    "targets": set(),
    "class_names": {"targets"},
    "file_locks": set(),
    "graph_errors": set(),
    "ops": {"optional_packages"},
    "layers": {"images", "ops"},
    "losses": {"ops", "targets"},
    "metrics": {"ops", "targets"},
    "balancing": {"ops"},
    "data": {
        "autotuning",
        "class_names",
        "graph_errors",
        "images",
        "losses",
        "metrics",
        "optional_packages",
        "targets",
        "task_config",
        "tasks",
        "text",
    },
    "tasks": {"class_names", "losses", "metrics", "targets"},
    "task_config": {"targets", "tasks"},
    "autotuning": set(),
    "optional_packages": set(),
    "weights": {"atomic_files", "file_locks", "images", "optional_packages"},
    "backbones": {"images", "layers", "optional_packages", "weights"},
    "heads": {"layers"},
    "inspection": {"graph", "layers", "ops", "optional_packages"},
    "architectures": {"backbones", "graph", "heads", "inspection", "layers", "ops", "weights"},
    "training": {
        "atomic_files",
        "autotuning",
        "balancing",
        "graph",
        "graph_errors",
        "inspection",
        "layers",
        "losses",
        "metrics",
        "ops",
        "stopped",
        "targets",
        "task_config",
        "tasks",
    },
    "evaluation": {
        "atomic_files",
        "autotuning",
        "class_names",
        "graph_errors",
        "metrics",
        "optional_packages",
        "targets",
        "task_config",
        "tasks",
    },
    "deployment": {
        "atomic_files",
        "class_names",
        "data",
        "evaluation",
        "graph_errors",
        "ops",
        "optional_packages",
        "targets",
        "task_config",
        "tasks",
        "text",
        "training",
    },
}
EVERYTHING = {"experiments", "surveys", "cli", "__init__", "__main__"}
UPWARD = {"experiments": {"surveys", "cli"}, "surveys": {"cli"}}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "mtl_tf":
                yield from (f"mtl_tf.{alias.name}" for alias in node.names)
            else:
                yield node.module


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_what_its_room_allows(path):
    for name in imports(path):
        assert not name.startswith(("keras.src", "tensorflow.python")), f"{path} imports {name}"
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 else "__init__"
        assert target not in UPWARD.get(room(path), ()), f"{path} imports {name}, which is above it"
        if parts[0] != "mtl_tf" or room(path) in EVERYTHING:
            continue
        allowed = ALLOWED[room(path)] | {room(path), "typing"}
        assert target in allowed, f"{path} imports {name}; {room(path)} may import {allowed}"


def test_only_the_command_line_parses_arguments():
    importers = {room(p) for p in MODULES if "argparse" in imports(p)}
    pattern = re.compile(r"\(argparse\.ArgumentParser\)|ArgumentParser\(")
    makers = [p for p in MODULES if pattern.search(p.read_text())]
    assert importers == {"cli"} and makers == [PACKAGE / "cli" / "parser.py"]


def test_only_one_module_reads_the_private_graph_of_keras():
    readers = [p.name for p in MODULES if re.search("_keras_history|_inbound_nodes", p.read_text())]
    assert readers == ["graph.py"]


def test_only_one_module_opens_the_native_library():
    openers = [p.name for p in MODULES if "load_op_library" in p.read_text()]
    assert openers == ["_library.py"]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("kernels", ("tensorflow/", "pybind11/", "bindings/")),
        ("tensorflow", ("pybind11/", "bindings/")),
        ("bindings", ("tensorflow/",)),
    ],
)
def test_native_layers_do_not_see_each_other(folder, forbidden):
    for path in filter(pathlib.Path.is_file, (ROOT / "ops" / folder).rglob("*")):
        for line in path.read_text().splitlines():
            if line.startswith("#include"):
                assert not any(f in line for f in forbidden), f"{path}: {line}"


def test_no_catch_all_modules():
    names = {path.stem for path in MODULES}
    assert not names & {"utils", "helpers", "common", "misc"}
