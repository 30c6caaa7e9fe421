# `make` alone lists the targets. Python 3.11 or later is all that most of them need.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# Many processes load the same code here; each would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest --durations=15 --durations-min=3
# How many processes test at the same time, each with a PostgreSQL of its own; much of a test is waiting.
WORKERS ?= 3
# What fails is tried once more by itself: the machine may have been busy. What fails twice has failed.
TOGETHER := -m "not slow and not alone" --ignore=tests/reliability
# Files in their order: one process tests a whole package if it can, whose files share gateways.
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
ALONE := -m "alone and not slow" --ignore=tests/reliability
AGAIN := echo "=== once more, by themselves: ==="
PACKAGES := gateway_project namespaces keys analytics proxy
IMAGE ?= mcp-gateway
# Prints one line a package while pip works, and its errors.
SHOW := sed -un -e 's/^Collecting \([^ ]*\).*/    \1/p' -e 's/^Installing collected.*/    unpacking …/p' -e '/^ERROR/p'
UV_COMPILE := $(VENV)/bin/uv pip compile -q --no-header --no-emit-index-url --no-emit-find-links --python-version 3.11

.PHONY: help setup deps dev build run run-reload test test-together test-alone test-unit test-integration test-all test-cover lint format \
	typecheck bench bench-quick bench-analytics bench-analytics-quick conformance screenshots faults faults-full fuzz audit lock \
	docker-build docker-up docker-down docker-logs clean

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  %-22s %s\n", $$1, $$2}'

$(VENV)/.deps: requirements.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; $(PYTHON) is older. Name another: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making the virtual environment and installing what the gateway needs (once, about a minute):"
	@"$(PYTHON)" -m venv $(VENV) || { echo "venv is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@$(PY) -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt | $(SHOW)
	@$(PY) -m compileall -q -j 0 $(PACKAGES)
	@touch $@

$(VENV)/.dev: $(VENV)/.deps requirements-dev.txt
	@echo "Installing what tests and linters need (once):"
	@$(PY) -m pip install --disable-pip-version-check --progress-bar off -r requirements-dev.txt | $(SHOW)
	@touch $@

deps: $(VENV)/.deps ## install what the gateway needs into .venv

dev: $(VENV)/.dev ## install what tests, linters and benchmarks need as well

setup: dev ## deps, dev, and a .env file to edit
	@test -e .env || { cp .env.example .env; echo "Made .env from .env.example; every line in it is a default."; }

build: deps ## compile the sources and check the settings
	$(PY) -m compileall -q $(PACKAGES)
	$(PY) manage.py check

run: deps ## start the gateway with the demo; Ctrl-C stops it
	@exec $(PY) manage.py serve --demo

run-reload: deps ## Django's development server, restarted when a file changes (no journal shipping)
	$(PY) manage.py migrate --verbosity 0
	GATEWAY_DEBUG=1 exec $(PY) manage.py runserver

test: test-together test-alone ## every test but the slow ones and those of `make faults`, on embedded PostgreSQL (or DATABASE_URL)

test-together: dev ## those of them that may share the machine, in WORKERS processes
	$(PYTEST) $(TOGETHER) $(SPREAD) || { $(AGAIN); $(PYTEST) $(TOGETHER) --last-failed --last-failed-no-failures none; }

test-alone: dev ## those of them that judge times, one after the other
	$(PYTEST) $(ALONE) || { $(AGAIN); $(PYTEST) $(ALONE) --last-failed --last-failed-no-failures none; }

test-unit: dev ## only the tests that need neither a database nor a gateway
	$(PYTEST) -m "not integration and not slow and not conformance and not browser"

test-integration: dev ## only the tests that need a database or a gateway
	$(PYTEST) -m "integration and not slow"

test-all: dev ## really every test
	$(PYTEST)

test-cover: dev ## the tests with a coverage report in htmlcov/
	$(PYTEST) -m "not slow" $(addprefix --cov=,$(PACKAGES)) --cov-report=term --cov-report=html

lint: dev ## ruff, mypy, djlint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/djlint --lint --quiet templates

format: dev ## let ruff put the sources in order
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

typecheck: dev ## mypy alone
	$(VENV)/bin/mypy

bench: dev ## what a call costs, beside nginx, a bare pass-through and peers (installed once); writes results and chart (wrk, nginx; 10 min)
	$(PY) -m benchmarks.run

bench-quick: dev ## the same without the peers, shorter, writing nothing; fails by CPU a call, not by the clock
	$(PY) -m benchmarks.run --quick

bench-analytics: dev ## pages, REST and ingest on a log of ten million rows; writes benchmarks/results/ (half an hour)
	$(PY) -m benchmarks.analytics $(if $(DATA_DIR),--data-dir $(DATA_DIR))

bench-analytics-quick: dev ## the same on 200,000 rows, writing nothing
	$(PY) -m benchmarks.analytics --quick

conformance: dev ## the protocol's own suite, directly and through the gateway (needs npm)
	$(PY) -m tests.conformance.run

screenshots: dev ## make the pictures of the README anew (docs/images/), as the browser tests see the pages
	SCREENSHOTS=docs/images $(PYTEST) -q tests/dashboard/test_browser_questions.py

faults: dev ## kill, stop and starve every part under load, and count the rows
	$(PY) -m benchmarks.faults

faults-full: dev ## the same at full length (half an hour, the soak beside the rest); writes benchmarks/results/
	$(PY) -m benchmarks.faults --full

fuzz: dev ## coverage-guided fuzzing of all that reads bytes from outside (FUZZ_SECONDS for each target, 60)
	$(PY) -m tests.fuzz.run --seconds $(or $(FUZZ_SECONDS),60)

audit: dev ## known vulnerabilities in the pinned packages
	$(VENV)/bin/pip-audit -r requirements.txt

lock: dev ## compile requirements*.txt from requirements*.in
	$(UV_COMPILE) requirements.in -o requirements.txt
	$(UV_COMPILE) requirements-dev.in -o requirements-dev.txt

docker-build: ## build the image
	docker build --tag $(IMAGE) .

docker-up: ## gateway and PostgreSQL in containers (copy .env.example to .env first)
	docker compose up --build --detach
	@echo "Make the first admin: docker compose exec gateway python manage.py create_admin"

docker-down: ## stop the containers; the volumes stay
	docker compose down

docker-logs: ## follow the containers' logs
	docker compose logs --follow

clean: ## remove .venv, caches and reports; .data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis htmlcov .coverage test-artifacts
	find . -name __pycache__ -type d -not -path './tests/conformance/node_modules/*' -prune -exec rm -rf {} +
