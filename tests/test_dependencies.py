"""Hard dependencies and extras: each is imported where it is needed, and nowhere else."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

from mtl_tf import optional_packages
from tests.test_import_rules import MODULES, ROOT, imports, room

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Rooms that an extra is for; all others work with the hard dependencies and TensorFlow.
ROOMS = {
    "data": {"data"},
    "experiments": {"cli", "deployment", "evaluation", "experiments", "surveys"},
    "export": {"deployment"},
    "hub": {"backbones"},
    "tune": {"surveys"},
    "weights": {"weights"},
}
HEAVY = ROOMS["data"] | ROOMS["experiments"]
MODULES_OF = {  # package: its module, if not of the same name
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}


def modules_of(requirements):
    """Modules of requirements, with those of the extras that they name."""
    modules = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w-]+)(?:\[([\w,-]+)\])?", requirement).groups()
        if name == PROJECT["name"]:
            modules.update(*(modules_of(EXTRAS[extra]) for extra in extras.split(",")))
        elif not name.endswith("-pytorch-model"):  # files of weights, which nothing imports
            modules.add(MODULES_OF.get(name, name.replace("-", "_")))
    return modules


HARD = modules_of(PROJECT["dependencies"]) | {"tensorflow"}
OF_EXTRAS = set().union(*(modules_of(EXTRAS[extra]) for extra in ROOMS))


def at_any_place(path):
    """Other packages' modules that a file imports, by `optional_import` as well."""
    text = path.read_text()
    names = {name.partition(".")[0] for name in imports(path)}
    if "optional_import(" in text and path.stem != "optional_packages":
        texts = {node.value for node in ast.walk(ast.parse(text)) if is_text(node)}
        names |= {one.partition(".")[0] for one in texts} & set(optional_packages._PACKAGES)
    return names - set(sys.stdlib_module_names) - {"mtl_tf"}


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def imported_in(rooms):
    return set().union(*(at_any_place(path) for path in MODULES if room(path) in rooms))


# === What pyproject.toml says ===


def test_hard_dependencies_are_those_of_the_light_rooms():
    light = [path for path in MODULES if room(path) not in HEAVY]
    imported = set().union(*({n.partition(".")[0] for n in imports(path)} for path in light))
    assert imported - set(sys.stdlib_module_names) - {"mtl_tf"} == HARD


@pytest.mark.parametrize("extra", ROOMS)
def test_every_package_of_an_extra_is_imported_by_its_rooms(extra):
    listed = {requirement for requirement in EXTRAS[extra] if "mtl-tf" not in requirement}
    assert modules_of(listed) <= imported_in(ROOMS[extra])


@pytest.mark.parametrize("heavy", ["data", "experiments"])
def test_rooms_import_only_packages_of_their_extra(heavy):
    by_name = {name for path in MODULES if room(path) in ROOMS[heavy] for name in imports(path)}
    others = {name.partition(".")[0] for name in by_name} - set(sys.stdlib_module_names)
    types_only = {"optuna"}  # imported under TYPE_CHECKING
    of_others = {"rich", "markupsafe"}  # Keras and Jinja themselves require them
    assert others - {"mtl_tf"} - types_only - of_others <= HARD | modules_of(EXTRAS[heavy])


def test_packages_with_an_error_message_are_in_the_extra_it_names():
    for module, (_, command) in optional_packages._PACKAGES.items():
        extra = command.partition("[")[2].partition("]")[0]
        if module == "tensorflow":
            assert command == 'pip install "mtl-tf[cpu]"'
        elif extra:
            assert module in modules_of(EXTRAS[extra]), f"{module} is not in the extra {extra}"
    assert set(optional_packages._PACKAGES) >= OF_EXTRAS


def test_extras_include_what_they_build_on():
    assert modules_of(EXTRAS["all"]) == modules_of(
        [*EXTRAS["data"], *EXTRAS["experiments"], *EXTRAS["weights"]]
    )
    assert modules_of(EXTRAS["data"]) < modules_of(EXTRAS["experiments"])
    assert modules_of(EXTRAS["experiments"]) < modules_of(EXTRAS["export"])
    assert modules_of(EXTRAS["experiments"]) < modules_of(EXTRAS["tune"])
    assert modules_of(EXTRAS["all"]) < modules_of(EXTRAS["docs"])
    assert OF_EXTRAS - {"keras_hub"} < modules_of(EXTRAS["dev"])


@pytest.mark.parametrize("page", ["Makefile", "README.md", "docs/quickstart.md"])
def test_commands_name_extras_that_exist(page):
    named = re.findall(r'"\.\[([\w,]+)\]"', pathlib.Path(ROOT, page).read_text())
    assert named and {extra for names in named for extra in names.split(",")} <= set(EXTRAS)


# === Without the packages of the extras ===

WITHOUT = """
import sys
for module in {refused}:
    sys.modules[module] = None  # an import of it fails, also in Keras, which has to do without
"""
TRAINS = """
import importlib
import keras, numpy as np
import mtl_tf as mtl
assert not set(mtl._ON_FIRST_USE) & set(vars(mtl)), "imported before it is used"
for module in {light}:
    importlib.import_module(module)
tasks = {{"semseg": 5, "depth": 1}}
network = mtl.architectures.SharedTrunk("resnet18", tasks, (32, 32, 3), head="conv")
trainer = mtl.MultiTaskTrainer(network, tasks)
trainer.compile(keras.optimizers.Adam(1e-3), balancing="upgrad")
image = np.zeros((4, 32, 32, 3), np.float32)
targets = {{name: np.ones((4, 32, 32, 1), np.float32) for name in tasks}}
targets["semseg"] = targets["semseg"].astype(np.int32)
masks = {{name: np.ones((4, 32, 32), np.float32) for name in tasks}}
history = trainer.fit(image, targets, sample_weight=masks, batch_size=2, verbose=0).history
assert np.isfinite(history["loss"][0])
assert np.allclose(mtl.architectures.affinity([np.eye(3), np.eye(3)]), [[1, 0], [0, 1]])
"""
FAILS = """
import mtl_tf as mtl
for name in mtl._ON_FIRST_USE:
    assert name in dir(mtl)
    try:
        getattr(mtl, name)
    except ImportError as error:
        print(error)
try:
    import mtl_tf.data.geometry
except ImportError as error:
    print(error)
try:
    mtl.architectures.draw(None, "network.svg")
except ImportError as error:
    print(error)
"""


def python(code, refused=OF_EXTRAS, **values):
    source = WITHOUT.format(refused=sorted(refused)) + code.format(**values)
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", source], cwd=ROOT, capture_output=True, text=True
    )


def test_a_trainer_needs_no_package_of_an_extra():
    paths = [path for path in MODULES if room(path) not in HEAVY and path.stem != "__main__"]
    names = [path.relative_to(ROOT).with_suffix("").parts for path in paths]
    light = [".".join(parts).removesuffix(".__init__") for parts in names]
    run = python(TRAINS, light=light)
    assert run.returncode == 0, run.stderr[-2000:]


def test_rooms_without_their_packages_name_the_extra():
    run = python(FAILS)
    assert run.returncode == 0, run.stderr[-2000:]
    data, *experiments, geometry, draw = run.stdout.splitlines()
    message = r'mtl_tf\.data needs [\w-]+: pip install "mtl-tf\[data\]" \(\w'
    assert re.match(message, data) and re.match(message, geometry)
    assert len(experiments) == 4
    for line in experiments:
        assert re.match(
            r'mtl_tf\.\w+ needs [\w-]+: pip install "mtl-tf\[experiments\]" \(\w', line
        ), line
        assert line.count("pip install") == 1
    assert draw.startswith("mtl_tf.architectures.draw needs matplotlib: ")


def test_the_command_line_without_its_packages_says_what_to_install():
    code = "from mtl_tf.cli import main; sys.exit(main(['doctor']))"
    run = python(code, refused=modules_of(EXTRAS["experiments"]) - modules_of(EXTRAS["data"]))
    assert run.returncode == 2
    *log, error = run.stderr.splitlines()  # on some processors TensorFlow has lines of its own
    assert not any("Traceback" in line for line in log)
    pattern = r'mtl-tf: The command line needs .*: pip install "mtl-tf\[experiments\]" \(.*\)'
    assert re.fullmatch(pattern, error), error


def test_the_extra_of_a_room_is_named_not_that_of_the_room_it_imports():
    """Packages of `data` are missing, and `experiments` imports `data`."""
    run = python("import mtl_tf.experiments", refused={"cv2"})
    last = run.stderr.strip().splitlines()[-1]
    assert 'mtl_tf.experiments needs opencv-python-headless: pip install "mtl-tf[exper' in last


def test_other_errors_of_imports_are_left_as_they_are():
    broken = ImportError("cannot import name 'a' from 'mtl_tf'", name="mtl_tf")
    with (
        pytest.raises(ImportError, match="cannot import name") as raised,
        optional_packages.imports_of_extra("mtl_tf.data", "data"),
    ):
        raise broken
    assert raised.value is broken


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import mtl_tf

    with pytest.raises(AttributeError, match="has no attribute 'dato'"):
        _ = mtl_tf.dato
