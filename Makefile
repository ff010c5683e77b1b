# The menu. `make` prints it; every target sets up what it needs first.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.env-stamp
BENCH  ?= --seeds 1

.DEFAULT_GOAL := menu
.PHONY: menu env demo test check docs bench lock clean

menu: ## print this menu
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

env: $(STAMP) ## the environment in .venv, exact versions from requirements.lock (PYTHON=python3.12 for another)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $$(command -v $(PYTHON) || command -v python3) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
		|| { echo "limpid needs Python 3.11 to 3.13: rm -r $(VENV) && make env PYTHON=python3.12" >&2; exit 1; }
	# torch first, with whatever its build needs; then everything else, exactly.
	$(BIN)/python -m pip install -q -c requirements.lock "$$(grep -E '^torch==' requirements.lock)"
	$(BIN)/python -m pip install -q --no-deps -r requirements.lock
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: env ## inspect a table, train on it for half a minute, and say where the report is
	$(BIN)/limpid inspect sample:breast_cancer
	$(BIN)/limpid train sample:breast_cancer --budget 30s

test: env ## every test
	$(BIN)/python -m pytest -q

check: env ## ruff, mypy strict and the quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m "not slow and not browser"

docs: env ## docs/settings.md anew from the specs
	$(BIN)/python docs/generate.py

bench: env ## the benchmarks (needs LIMPID_DATA; BENCH="--tables adult --systems limpid" narrows it)
	$(BIN)/python -m benchmarks.start
	$(BIN)/python -m benchmarks.run $(BENCH)

lock: ## requirements.lock anew from what .venv holds
	$(BIN)/python .ci/lock.py

clean: ## remove the environment, caches and builds; runs/ stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -not -path './benchmarks/envs/*' -prune -exec rm -rf {} +
