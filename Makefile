# What a developer runs. `make help` lists it; nothing but Python, a C++ compiler and make need be there before.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CPP := $(wildcard csrc/*.* csrc/isa/*.*)
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(CPP)

.PHONY: help demo test check sanitize docs counts bench clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: $(VENV)/installed-all  ## From real pictures to a proven model file, on the built-in digits: see demo/report.html
	@$(BIN)/featherweight fit --out demo --overwrite || { code=$$?; [ $$code -eq 3 ] || exit $$code; \
	  echo "The demo ran; its budget was not met, as a machine that is busy with other work makes it: see demo/report.html"; }

test: $(VENV)/installed-dev check  ## The whole check: style, types, tests, documentation examples

# Each worker computes on one thread, so that they do not fight for the cores.
check: export OMP_NUM_THREADS := 1
check: | $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	$(BIN)/pytest -n $(WORKERS)

sanitize: $(VENV)/installed-dev  ## Run every kernel under the address and undefined-behaviour sanitizers
	@$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DFEATHERWEIGHT_SANITIZE=ON > /dev/null
	@$(BIN)/cmake --build build/sanitize
	build/sanitize/sanitize

docs: $(VENV)/installed-dev  ## Write the generated pages of docs/ anew, and build the site: site/index.html
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs --quiet build --strict

counts: $(VENV)/installed-dev  ## Count every registered network anew
	$(BIN)/python -m featherweight.networks

bench: $(VENV)/installed-dev  ## Run every benchmark; each prints a ratio to its peer
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

clean:  ## Remove all that make and the tests have made, the virtual environment too
	rm -rf $(VENV) build dist demo site .mypy_cache .pytest_cache .ruff_cache

# The package is installed in place (editable): only what is compiled or declared needs installing anew.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "featherweight needs Python 3.11 or newer; $(PYTHON) is %d.%d: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed-all: $(BUILD_INPUTS) | $(BIN)/python
	@echo "installing into $(VENV): the first time some gigabytes, for minutes"
	$(PIP) --editable '.[all]'
	@touch $@

$(VENV)/installed-dev: $(BUILD_INPUTS) | $(BIN)/python
	@echo "installing into $(VENV): the first time some gigabytes, for minutes"
	$(PIP) --editable '.[all,dev]'
	@touch $(VENV)/installed-all $@
