# What a person types. `make` alone lists it. Only Python 3.10+ with venv and pip is needed; Go, cargo and Debian's
# PostgreSQL are used where they are.

SHELL := /bin/bash
PYTHON ?= python3
TESTED ?= sdk native parts source-postgres destination-s3 acceptance-tests runner examples images
# A test that waits for real servers may fail on a machine that is busy: what failed runs once more, alone.
AGAIN = { echo "What failed is run once more, alone."; $(BIN)/pytest --last-failed --last-failed-no-failures none $(TESTED); }
WORKERS ?= 2
# In this order: xdist would leave the files with few tests to the end, and the longest of all are among them.
SPREAD := --dist loadfile --no-loadscope-reorder
FUZZ_SECONDS ?= 60

BIN := .venv/bin
UV := VIRTUAL_ENV=.venv $(BIN)/uv
PROJECTS := $(filter-out native/pyproject.toml,$(wildcard */pyproject.toml))
PACKAGES := $(PROJECTS:/pyproject.toml=)
NAMES := $(shell sed -n 's/^name = "\(.*\)"/\1/p' $(PROJECTS))
# What one package leaves to its users' choice and the tests of all of them need.
EXTRAS_sdk := [cdk]

.DEFAULT_GOAL := help
.PHONY: help install parts native image images accept pages demo test test-fast lint format types bench fuzz lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed native ## make .venv with the commands of all connectors in .venv/bin
	@-$(BIN)/python -m compileall -q $(PACKAGES)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else "Python 3.10 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# One step installs everything, and only when something that it depends on has changed.
.venv/installed: $(BIN)/uv pyproject.toml requirements.lock $(PROJECTS)
	$(UV) pip install --quiet --compile-bytecode --constraints requirements.lock --group dev \
		$(foreach package,$(PACKAGES),--editable './$(package)$(EXTRAS_$(package))')
	@touch $@

native: .venv/installed ## build the native part, where there is one and a cargo to build it
	@if [ ! -e native/pyproject.toml ]; then \
		echo "native: its sources are not here; the Python twins do its work"; \
	elif ! printf '1.85\n%s\n' "$$(cargo --version 2>/dev/null | cut -d ' ' -f 2)" | sort -VC; then \
		echo "native: left out, cargo 1.85 or newer is needed; the Python twins do its work"; \
	else \
		$(MAKE) --no-print-directory .venv/native; \
	fi

.venv/native: .venv/installed $(shell find native -name target -prune -o -type f -print 2>/dev/null)
	$(UV) pip install --quiet --reinstall-package connector-native ./native
	@touch $@

parts: install ## build the real servers for tests, once, into a cache outside the tree
	@$(BIN)/python -m connector_parts build

demo: install ## airpipe run, from a real PostgreSQL to files: all rows, then only what changed
	@$(BIN)/python examples/demo.py

test: install lint types parts ## everything: set-up, lint, types, all tests of TESTED (minutes)
	$(BIN)/pytest -n $(WORKERS) $(SPREAD) $(TESTED) || $(AGAIN)

test-fast: install parts ## those of them that are not marked slow
	$(BIN)/pytest -n $(WORKERS) $(SPREAD) -m 'not slow' $(TESTED)

lint: install ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: install ## put everything in style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The packages and the examples; tests are typed where that helps.
types: install ## check types
	@for package in $(PACKAGES) examples; do \
		echo "mypy $$package"; \
		$(BIN)/mypy --no-error-summary $$(ls -d $$package/*/__init__.py $$package/*.py 2>/dev/null | grep -v /tests/ | sed s,/__init__.py,,) || failed=1; \
	done; exit $${failed:-0}

image: parts ## build one image: make image C=source-postgres [BASE=…] [PREFIX=ghcr.io/me/]
	@$(BIN)/python -m connector_images build $(C) $(if $(BASE),--base $(BASE)) $(if $(PREFIX),--prefix $(PREFIX))

images: C :=
images: image ## build the images of all connectors

accept: parts ## run the whole acceptance suite against the images (ten minutes and more)
	IMAGE_SUITE=all $(BIN)/pytest -n $(WORKERS) --dist loadfile images/tests/test_images_acceptance_*.py

pages: install ## write the pages of the connectors in docs/connectors from what these say of themselves
	@$(BIN)/python -m connector_images pages

bench: install parts ## measure ours and peers side by side
	$(UV) pip install --quiet --compile-bytecode --constraints requirements.lock --editable './benchmarks[peers]'
	$(BIN)/python -m benchmarks

fuzz: install ## feed both twins of the native part the same damaged bytes, for FUZZ_SECONDS (60)
	$(BIN)/python native/fuzz.py $(FUZZ_SECONDS)

lock: $(BIN)/uv ## find the newest versions that fit together and write requirements.lock
	$(UV) pip compile --quiet --universal --upgrade --python-version 3.10 --all-extras --group dev \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		$(NAMES:%=--no-emit-package %) --output-file requirements.lock $(PROJECTS)

clean: ## remove what was built and written here (the cache of built servers stays)
	rm -rf .venv demo-output bench-output .mypy_cache .pytest_cache .ruff_cache .hypothesis native/target
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
