# Everything that people and CI run. Needs Python 3.11+, make and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := schemas eventlog registry identity producers warehouse stream_processors profile_api simorgh tests benchmarks deploy
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-test demo serve test check format bench hostile soak tools clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## build .venv with what running needs

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

setup-test: setup $(VENV)/.ready-test ## add what the tests need

$(VENV)/.ready-test: pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

demo: setup ## real data through the connectors, findings, then serving (ARGS=--no-serve ends after the findings)
	$(BIN)/simorgh demo $(ARGS)

serve: setup ## everything in one process on ./simorgh-data
	$(BIN)/simorgh serve $(ARGS)

test: setup-test ## all tests that end in minutes
	$(BIN)/python -m pytest -q -m "not soak" -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-test ## format, lint, types, import rules, schemas
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/simorgh schemas check

tools: ## build what checks deploy/ (Helm, promtool, Compose's loader; wants Go, a quarter of an hour, once)
	for tool in composecheck helm promtool; do $(PYTHON) deploy/tools/fetch.py $$tool || exit 1; done

format: setup-test ## format and mend what the linter can
	$(BIN)/ruff check --fix --quiet $(SOURCES) || true
	$(BIN)/ruff format $(SOURCES)

bench: setup-test ## measure what is promised, beside bare loops
	$(BIN)/python -m benchmarks $(ARGS)

hostile: setup-test ## attack a server for ten minutes beside an ordinary client (ARGS=--minutes=1)
	$(BIN)/python -m tests.hostile $(ARGS)

soak: setup-test ## long runs: hundreds of kills
	$(BIN)/python -m pytest -q -m soak $(ARGS)

clean: ## remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
