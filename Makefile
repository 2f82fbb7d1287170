# Two commands do everything on a machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# Python compiles a file when it is first imported: all 15,000 beforehand take a minute. Any pip of Python 3.11 will do.
QUICKLY := --quiet --no-compile --disable-pip-version-check
# Some tests start processes: where Python is told to keep nothing of what it compiles, each compiles all of torch anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test lint types checked known layers unit slow docs catalogue lock audit format clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(INSTALLED): pyproject.toml runtime/pyproject.toml requirements.lock
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(QUICKLY) --constraint requirements.lock --editable runtime --editable ".[dev]"
	touch $@

demo: $(INSTALLED)  ## train ResNet-8/14/20 in one network on scikit-learn's digits
	$(BIN)/ddnn train

test: $(INSTALLED)  ## what a change has to pass
	$(MAKE) --jobs=2 --output-sync=target lint types layers
	$(MAKE) unit

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: checked known

checked: $(INSTALLED)
	$(BIN)/pyright

# Fails unless the types of the whole public interface are known; what torch leaves untyped is torch's own (external).
known: $(INSTALLED)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --verifytypes ddnn --ignoreexternal

layers: $(INSTALLED)
	$(BIN)/lint-imports

unit: $(INSTALLED)
	$(BIN)/python -m pytest

slow: $(INSTALLED)  ## the long tests too
	$(BIN)/python -m pytest -m "slow or not slow"

SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs

# One build after the other: both run the tutorial, or take its outputs from where the first has kept them.
docs: $(INSTALLED)  ## the documentation site, docs/build/html/index.html, with its links checked
	$(SPHINX) -b html docs/build/html
	$(SPHINX) -b linkcheck docs/build/linkcheck

catalogue: $(INSTALLED)  ## count anew what `ddnn families` shows, after a change to a family
	$(BIN)/python -c 'from ddnn.commands.catalogue import write; write()'

lock:  ## take the newest versions that pyproject.toml allows into requirements.lock
	rm -rf .lock-venv
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet --editable runtime --editable ".[dev]"
	{ head -1 requirements.lock; .lock-venv/bin/python -m pip freeze --exclude-editable; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf .lock-venv

audit:  ## ask the advisory database about the locked versions; needs the network
	$(PYTHON) -m venv .audit-venv
	.audit-venv/bin/python -m pip install --quiet pip-audit
	.audit-venv/bin/pip-audit --requirement requirements.lock --no-deps --disable-pip
	rm -rf .audit-venv

format: $(INSTALLED)  ## sort the imports and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and all caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache
