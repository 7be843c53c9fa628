# What a contributor runs; CONTRIBUTING.md says more. `./start.sh test` makes .venv.
PYTHON := .venv/bin/python
SHELL_FILES := start.sh .ci/run .ci/bounds .ci/lock .ci/programs

.PHONY: test test-all lint format types cov docs bench fuzz

test: ## the fast tests
	$(PYTHON) -m pytest -q -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-all: ## every test
	$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: ## style, spelling, shell scripts, import rules
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	.venv/bin/codespell
	.venv/bin/shellcheck $(SHELL_FILES)
	.venv/bin/lint-imports
	if [ -d tools/javascript/node_modules ]; then npm --prefix tools/javascript run --silent lint; fi

format:
	$(PYTHON) -m ruff format .

types:
	$(PYTHON) -m mypy

cov: ## every test with coverage: 95 % of all, 100 % of the pure core
	$(PYTHON) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder --cov
	$(PYTHON) -m tests.core_coverage

docs: ## .env.example, docs/settings.md, docs/clients/, docs/reliability.md
	$(PYTHON) -m tools.docs

bench:
	$(PYTHON) -m bench --rounds 3

fuzz:
	$(PYTHON) -m tests.fuzz --seconds 600
