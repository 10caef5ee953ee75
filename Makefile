# Everything that people and CI run. Needs Python 3.11+, make and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := schemas eventlog registry identity segments privacy producers warehouse destinations stream_processors profile_api simorgh tests benchmarks deploy
ARGS ?=
# Tests wait for processes, brokers and deadlines more than half of the time: four of them for two cores.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(8, max(2, os.cpu_count() * 2)))')
# Where EFFORT is asked for.
LAWS := tests/properties tests/contracts tests/unit tests/e2e/test_hostile_calls.py
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One lock for every Python and machine that we run on. Versions that are locked stay, unless --upgrade is among ARGS.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help setup setup-test lock newest demo serve test check format bench hostile soak tools clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## build .venv with what running needs

$(VENV)/.ready: pyproject.toml requirements/run.txt
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c '==' requirements/run.txt) libraries, as locked in requirements/run.txt: some 400 MB, once"
	@$(INSTALL) --require-hashes -r requirements/run.txt
	@echo "Installing simorgh from here"
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

setup-test: setup $(VENV)/.ready-test ## add what the tests need

$(VENV)/.ready-test: $(VENV)/.ready requirements/test.txt
	@echo "Installing what the tests need, as locked in requirements/test.txt"
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

lock: $(VENV)/.ready-lock ## pin what pyproject.toml asks for, with hashes (ARGS=--upgrade: the newest of everything)
	$(LOCK) --group lock -o requirements/lock.txt
	$(LOCK) pyproject.toml --group build --extra test -o requirements/test.txt
	$(LOCK) pyproject.toml --group build --extra fast --extra geo -c requirements/test.txt -o requirements/run.txt

$(VENV)/.ready-lock: requirements/lock.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --require-hashes -r requirements/lock.txt
	@touch $@

newest: ## the suite with the newest of everything that pyproject.toml allows, in .venv-newest
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	.venv-newest/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	.venv-newest/bin/python -m pip list --outdated
	touch .venv-newest/.ready .venv-newest/.ready-test
	$(MAKE) test VENV=.venv-newest

demo: setup ## real data through the connectors, findings, then serving (ARGS=--no-serve ends after the findings)
	$(BIN)/simorgh demo $(ARGS)

serve: setup ## everything in one process on ./simorgh-data
	$(BIN)/simorgh serve $(ARGS)

# Tests start some hundred processes and import everything in each worker: what Python compiled is kept for the next one.
test soak: export PYTHONDONTWRITEBYTECODE :=

test: setup-test ## all tests that end in minutes
	$(BIN)/python -m pytest -q -m "not soak" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-test ## format, lint, types, import rules, schemas
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/simorgh schemas check

tools: ## build what checks deploy/ (Helm, promtool, Compose's loader; wants Go, a quarter of an hour, once)
	for tool in composecheck helm promtool; do $(PYTHON) deploy/tools/fetch.py $$tool || exit 1; done

format: setup-test ## format, and fix what the linter can
	$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	$(BIN)/ruff format $(SOURCES)

bench: setup-test ## measure what is promised, beside bare loops
	$(BIN)/python -m benchmarks $(ARGS)

hostile: setup-test ## attack a server for ten minutes beside an ordinary client (ARGS=--minutes=1)
	$(BIN)/python -m tests.hostile $(ARGS)

soak: setup-test ## long runs: hundreds of kills, and forty times as many examples of every law
	$(BIN)/python -m pytest -q -m soak $(ARGS)
	EFFORT=40 $(BIN)/python -m pytest -q -n auto --timeout=7200 $(LAWS) -m "not soak"

clean: ## remove what was built
	rm -rf $(VENV) .venv-newest .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
