# What a contributor runs; CONTRIBUTING.md says more. `./start.sh test` makes .venv.
PYTHON := .venv/bin/python
SHELL_FILES := start.sh .ci/run .ci/bounds .ci/lock .ci/programs

.PHONY: help test test-all lint format types cov docs bench fuzz

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

test: ## the fast tests
	$(PYTHON) -m pytest -q -m "not slow" -n 2 --dist worksteal

test-all: ## every test
	$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: ## style, spelling, shell scripts, import rules
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/codespell
	.venv/bin/shellcheck $(SHELL_FILES)
	.venv/bin/lint-imports
	if [ -d tools/javascript/node_modules ]; then npm --prefix tools/javascript run --silent lint; fi

format: ## ruff, on all Python files
	$(PYTHON) -m ruff format .

types: ## mypy, strict
	$(PYTHON) -m mypy

cov: ## every test with coverage: 95 % of all, 100 % of the pure core
	$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --cov
	$(PYTHON) -m tests.core_coverage

docs: ## what documents and dashboard take from the code: settings, errors, clients, faults
	$(PYTHON) -m tools.docs

bench: ## measures speed
	$(PYTHON) -m bench --rounds 3

fuzz: ## feeds any bytes to every parser, for ten minutes
	$(PYTHON) -m tests.fuzz --seconds 600
