# Every target sets itself up: a fresh machine needs Python 3.11+, make and the package registries.
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c
SHELL := bash

PYTHON ?= python3
UV_VERSION := 0.13.7
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help demo test day flood mutants two-hosts chaos simulate simulate-short dev lint types check bench bench-short sandbox clean lock format

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: $(VENV)/.runtime ## Eight banks at four simulated providers, synced and compared to the cent
	@$(RUN) bank-pipeline demo

test: $(VENV)/.dev ## All tests, on an embedded Postgres and simulated providers
	@$(RUN) pytest -n 2 --dist loadgroup --no-loadscope-reorder

day: $(VENV)/.dev ## A day of 2,000 connections in a quarter of an hour, through Dagster's real daemon
	@$(RUN) DAY_CONNECTIONS=$${DAY_CONNECTIONS:-2000} DAY_MINUTES=$${DAY_MINUTES:-15} \
	  pytest -n 0 -m day bank_pipeline_tests/e2e/test_day.py

flood: $(VENV)/.dev ## 100,000 forged, truncated, replayed, oversized and wrongly aged webhooks
	@$(RUN) pytest -n 0 -s -m flood bank_pipeline_tests/gateway/test_process.py

mutants: $(VENV)/.dev ## Every deliberate defect, and whether the proof notices it
	@$(RUN) pytest -n 2 --dist load -m 'mutants or not mutants' bank_pipeline_tests/simulation/test_defects.py

two-hosts: $(VENV)/.dev ## Two worker hosts, one of them lost midway; wants redis-server and root
	@$(RUN) pytest -n 0 -rs -m hosts bank_pipeline_tests/e2e/test_two_hosts.py

chaos: $(VENV)/.dev ## Ten minutes of the whole stack while everything breaks; CHAOS_SEED, CHAOS_MINUTES
	@$(RUN) python -m chaos.run

simulate: $(VENV)/.runtime ## 20 simulated years of everything that can go wrong, and the proof
	@$(RUN) bank-pipeline simulate --seed 1 --seeds 20 --days 365 --connections 24 --faults full

simulate-short: $(VENV)/.runtime ## Two simulated months, as CI lives through at every change
	@$(RUN) bank-pipeline simulate --seed 1 --seeds 2 --days 30 --connections 8 --faults full

dev: $(VENV)/.runtime ## The Dagster UI with its daemon, the gateway and the sandbox
	@$(RUN) bank-pipeline up --sandbox

sandbox: $(VENV)/.runtime ## The simulated providers alone, on local ports
	@$(RUN) bank-pipeline sandbox serve

lint: $(VENV)/.dev ## Style and one-way imports; changes nothing
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) lint-imports

types: $(VENV)/.dev ## mypy, strict
	@$(RUN) mypy bank_pipeline bank_pipeline_tests benchmarks chaos

check: lint types ## Everything that needs no test run: style, types, imports, sizes, definitions, advisories
	@$(RUN) pytest bank_pipeline_tests/architecture
	@$(RUN) pytest -rs -m advisories bank_pipeline_tests/architecture/test_advisories.py
	@home=$$(mktemp -d); trap 'rm -rf "$$home"' EXIT; \
	  $(RUN) DAGSTER_HOME="$$home" dagster definitions validate -w workspace.yaml

bench: $(VENV)/.bench ## All benchmarks in full, and the tables of docs/performance.md; some 40 minutes
	@$(RUN) python -m benchmarks

bench-short: $(VENV)/.bench ## All benchmarks, small; some minutes
	@$(RUN) python -m benchmarks --short

format: $(VENV)/.dev ## Format and mend what can be mended by machine
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

lock: $(VENV)/.uv ## Pin every dependency anew, with hashes
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --quiet -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra hosts --extra parquet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --quiet -c requirements.lock -o requirements-hosts.lock
	@$(BIN)/uv pip compile pyproject.toml --extra hosts --extra parquet --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --quiet -c requirements-hosts.lock -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --extra hosts --extra parquet --group dev --group bench --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --quiet -c requirements-dev.lock -o requirements-bench.lock

clean: ## Remove the environment, caches and all local state, the embedded database included
	@if [ -x $(BIN)/bank-pipeline ]; then BANK_PIPELINE_DATABASE_URL= $(BIN)/bank-pipeline db stop || true; fi
	@for folder in .bank-pipeline/*/; do \
	  if [ -d "$$folder/pg" ]; then BANK_PIPELINE_DATABASE_URL= BANK_PIPELINE_STATE_DIR="$$folder" $(BIN)/bank-pipeline db stop || true; fi; \
	done
	@rm -rf $(VENV) .bank-pipeline .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.uv: Makefile
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("bank_pipeline needs Python 3.11 or newer; set PYTHON=python3.11")'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(VENV)/.runtime: $(VENV)/.uv requirements.lock pyproject.toml
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements-bench.lock
	@$(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements-bench.lock
	@touch $@
