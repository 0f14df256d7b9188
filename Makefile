# make demo | test | lint | bench | docs. Everything happens in .venv, which the first of them makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONWARNINGS ?= ignore::DeprecationWarning
export MTL_TF_DATA ?= $(wildcard ../shared/data)
export MTL_TF_ORACLES ?= $(wildcard ../shared/oracles)

.PHONY: demo test test-slow lint bench docs clean
demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/mtl-tf train --preset demo --out runs/demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only --no-cov

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell mtl_tf ops tests benchmarks docs examples *.md
	$(BIN)/clang-format --dry-run --Werror ops/*/*.cc ops/*/*.h ops/*/*.cu* ops/*/*/*.h

docs: $(VENV)/.installed-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site runs *.egg-info mtl_tf/ops/*.so

# The package, in place: TensorFlow and the build tools first, then the compiled ops against them.
$(VENV)/.tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "tensorflow-cpu>=2.21,<2.22" "scikit-build-core>=1.1" \
	    "setuptools>=77" "pybind11>=3.0" "cmake>=3.25" ninja
	touch $@

$(VENV)/.installed: $(VENV)/.tools CMakeLists.txt cmake/FindTensorFlow.cmake $(wildcard ops/*/*.c* ops/*/*.h ops/*/*/*.h)
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,dev]"
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,docs]"
	touch $@
