# Gridfare: everything a person runs. `make` alone prints the list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv/bin
PYTEST := $(VENV)/python -m pytest

.PHONY: help setup demo serve test test-all check format bench clean

help: ## print this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1: \2/p' $(MAKEFILE_LIST)

setup: ## install everything below this folder (the demo and the tests do it themselves)
	@$(PYTHON) infra/bootstrap.py

demo: setup ## open a whole market on http://127.0.0.1:8000 (PORT=8001 moves it, ONCE=1 ends after the summary)
	@$(VENV)/gridfare demo $(if $(PORT),--port $(PORT)) $(if $(ONCE),--once)

serve: setup ## run the portal and the API on the market kept in .gridfare/
	@$(VENV)/gridfare serve $(if $(PORT),--port $(PORT))

test: setup ## run the tests (browser tests need Chromium and say so when it is missing)
	@$(PYTEST) -n auto -m "not slow" --durations=10 --durations-min=2

test-all: setup ## run every test, the slow ones too, on examples nobody has tried
	@$(PYTEST) --hypothesis-profile=long -n auto --durations=20 --durations-min=2

check: setup ## lint, format, types, import rules, house rules
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports --no-logo
	@$(PYTEST) -q tests/test_house_rules.py tests/test_lock_files.py tests/test_manual.py

format: setup ## put imports and layout in order
	@$(VENV)/ruff check --fix-only --quiet .
	@$(VENV)/ruff format .

bench: setup ## measure speed against targets and rivals (NAMES="convex greedy" for some of it, KEEP=1 to keep the figures)
	@$(VENV)/python -m tests.benchmarks $(NAMES) $(if $(KEEP),--keep)

clean: ## remove what set-up and tests made; the demo's market goes too
	rm -rf .venv .gridfare .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis web/node_modules web/static/vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
