"""Every public name is documented: arguments as they are, shapes, errors, source."""

import enum
import inspect
import re

import pytest

import mtl_tf as mtl

MODULES = {
    name: getattr(mtl, name)
    for name in mtl.__all__
    if inspect.ismodule(getattr(mtl, name)) and name != "tasks"
}
PUBLIC = {
    f"{module_name}.{name}": getattr(module, name)
    for module_name, module in {**MODULES, "": mtl}.items()
    for name in module.__all__
    if not name.startswith("_") and callable(getattr(module, name))
}
METHODS = {
    f"{name}.{method}": getattr(cls, method)
    for name, cls in PUBLIC.items()
    if inspect.isclass(cls)
    for method in vars(cls)
    if not method.startswith("_") and inspect.isfunction(inspect.getattr_static(cls, method))
}


def documented_arguments(doc):
    """Names under `Args:` of a docstring, or under `Attributes:` of a dataclass."""
    heading = "Args" if re.search(r"^ *Args:$", doc, re.MULTILINE) else "Attributes"
    section = re.search(rf"^( *){heading}:\n((?:\1 +.*\n?|\n)*)", doc + "\n", re.MULTILINE)
    if section is None:
        return []
    indent = len(section.group(1)) + 4
    return re.findall(rf"^ {{{indent}}}\**(\w+):", section.group(2), re.MULTILINE)


def real_arguments(function):
    skipped = {"self", "cls", "args", "kwargs"}
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.name not in skipped]


def expected_arguments(function):
    """What a docstring has to name: the fields or members of a class, else the arguments."""
    if hasattr(function, "__dataclass_fields__"):
        return list(function.__dataclass_fields__)
    if hasattr(function, "model_fields"):  # Pydantic's have a docstring each
        assert all(field.description for field in function.model_fields.values())
        return []
    if hasattr(function, "_fields"):
        return list(function._fields)
    if inspect.isclass(function) and issubclass(function, enum.Enum):
        return list(function.__members__)
    if inspect.isclass(function) and not inspect.isfunction(function.__init__):
        return []
    return real_arguments(function)


@pytest.mark.parametrize("name", PUBLIC)
def test_has_a_docstring_with_its_real_arguments(name):
    function = PUBLIC[name]
    doc = inspect.getdoc(function)
    assert doc, f"{name} has no docstring"
    if inspect.isclass(function) and inspect.isabstract(function):
        return
    documented = [a for a in documented_arguments(doc) if a not in ("args", "kwargs")]
    assert documented == expected_arguments(function)


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_docstrings(name):
    assert inspect.getdoc(METHODS[name]), f"{name} has no docstring"


@pytest.mark.parametrize("name", [n for n in PUBLIC if inspect.isclass(PUBLIC[n])])
def test_classes_that_raise_say_so(name):
    cls = PUBLIC[name]
    constructors = [vars(cls).get(m) for m in ("__init__", "__post_init__")]
    for constructor in constructors:
        has_source = constructor is not None and constructor.__code__.co_filename != "<string>"
        if has_source and "raise ValueError" in inspect.getsource(constructor):
            assert "Raises:" in inspect.getdoc(cls), f"{name} raises and does not say what"


NOT_FROM_A_PAPER = ("Architecture", "Balancing", "StepStatistics")
FROM_PAPERS = ("architectures", "balancing", "losses", "metrics")


@pytest.mark.parametrize(
    "name", [n for n in PUBLIC if n.split(".")[0] in FROM_PAPERS and inspect.isclass(PUBLIC[n])]
)
def test_what_comes_from_a_paper_names_it(name):
    cls = PUBLIC[name]
    if not inspect.isabstract(cls) and name.split(".")[1] not in (
        "Architecture",
        "Balancing",
        "StepStatistics",
    ):
        assert "Source:" in inspect.getdoc(cls), f"{name} does not name its source"


def test_tables_hold_what_their_modules_export():
    for module in (mtl.architectures, mtl.balancing, mtl.data):
        for row in module.TABLE.values():
            assert row.cls.__name__ in module.__all__
        for name in module.TABLE:
            assert f"`{name}`" in module.__doc__, f"{name} is not in the table of contents"


def test_all_is_sorted_and_complete():
    for module in (*MODULES.values(), mtl):
        assert list(module.__all__) == sorted(
            module.__all__, key=lambda n: (not n.isupper(), not n[0].isupper(), n)
        )
        assert all(hasattr(module, name) for name in module.__all__)
