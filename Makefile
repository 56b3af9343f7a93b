# Every target makes what it needs; `make demo` and `make test` work on a fresh clone.
PYTHON ?= python3
DEMO ?= demo
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow ui bench lint lock clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: .venv/installed  ## make .venv with everything in requirements.lock

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: install  ## make sample data and release it
	test -e $(DEMO)/relaion.toml || $(BIN)/relaion sample $(DEMO) --rows 60000
	$(BIN)/relaion release --data $(DEMO)
	@echo "Open the UI with: make ui DEMO=$(DEMO)    and prove the release with: $(BIN)/relaion verify --data $(DEMO)"

test: install  ## run the fast tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: install  ## run the scale, fuzz, crash and browser tests
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 15 -m "slow or browser"

ui: install  ## open the Dagster UI on the demo
	$(BIN)/relaion ui --data $(DEMO)

bench: install  ## measure releases, re-releases and cleaning against plain copies
	$(BIN)/python -m benchmarks

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: install  ## choose versions anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-strip-extras --no-emit-index-url --no-emit-find-links --extra pipeline --extra publish --extra dev --upgrade pyproject.toml -o requirements.lock

clean:  ## remove what the targets made
	rm -rf .venv $(DEMO) $(DEMO).truth.parquet bench
