# What a developer runs. `make help` lists it; nothing but Python, a C++ compiler and make need be there before.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
CPP := $(wildcard csrc/*.* csrc/isa/*.*)
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(CPP)

.PHONY: help demo test check sanitize neon docs counts bench clean

help:  ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: $(VENV)/installed-all  ## From real pictures to a proven model file, on the built-in digits: see demo/report.html
	@$(BIN)/featherweight fit --out demo --overwrite || { code=$$?; [ $$code -eq 3 ] || exit $$code; \
	  echo "The demo ran; its budget was not met, as a machine that is busy with other work makes it: see demo/report.html"; }

test: $(VENV)/installed-dev check  ## The whole check: style, types, tests, documentation examples

# Each worker begins with a half of the tests, in order: so it makes what a file's tests share once, not both of them.
# Each computes on one thread, so that they do not fight for the cores; where a test wants two, they wait for
# each other asleep: spinning costs the tests of kernels 1.5 to 3.5 times the processor time.
check: export OMP_NUM_THREADS := 1
check: export GOMP_SPINCOUNT := 1000
check: | $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(CPP)
	$(BIN)/mypy
	@$(if $(shell command -v npm),$(BIN)/python -c "$(WEB)" || true,echo "not run: the tests of the browser's page; they lack npm")
	$(BIN)/pytest -n $(WORKERS) --dist worksteal
	@$(MAKE) --no-print-directory $(if $(NEON_LACKS),sanitize,neon)
	@$(if $(NEON_LACKS),echo "not run: make neon; it lacks the packages $(NEON_LACKS)")

# What the page of `featherweight export --to web` runs on, for its tests: fetched once, into the user's cache.
WEB := from featherweight.environments import install, missing; missing('web') and install('web')

sanitize: $(VENV)/installed-dev  ## Run every kernel under the address and undefined-behaviour sanitizers
	$(call run_kernels,$@)

neon: sanitize  ## Run the kernels for ARM processors too, in an emulator, and hold their bits against this processor's
	@$(if $(NEON_LACKS),echo "make neon lacks the packages $(NEON_LACKS)" >&2; exit 1)
	$(call run_kernels,$@,-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=$(ARM)-g++,qemu-aarch64 -L /usr/$(ARM))
	@[ $$(cat build/sanitize/results build/neon/results | cut -d' ' -f2- | sort -u | wc -l) -eq 1 ] || \
	  { echo "the kernels for ARM processors give other bits than this processor's" >&2; exit 1; }

ARM := aarch64-linux-gnu
NEON_LACKS := $(strip $(if $(shell command -v $(ARM)-g++),,g++-$(ARM)) $(if $(shell command -v qemu-aarch64),,qemu-user))

# The build folder's name, CMake's options, what runs the program; its threads wait for each other without spinning.
define run_kernels
	@$(BIN)/cmake -S . -B build/$(1) -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DFEATHERWEIGHT_SANITIZE=ON $(2) > /dev/null
	@$(BIN)/cmake --build build/$(1)
	GOMP_SPINCOUNT=1000 $(3) build/$(1)/sanitize > build/$(1)/results; code=$$?; cat build/$(1)/results; exit $$code
endef

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
