# make help lists the targets. Everything that they need goes into .venv.

PYTHON ?= python3
N ?= 1000000
# The tests that take longest wait for processes, so there are more of them at once than cores; but
# each worker collects all of them, and starts a service and servers of its own. With two for each
# core no core is idle.
WORKERS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 4 ? (5 * cores + 1) / 2 : 8)))
BIN := .venv/bin
# What is thrown at the service by lot, and kept open: it proves the more the longer it goes on.
SCALED := $(wildcard tests/e2e/test_fuzz*.py) tests/e2e/test_malformed.py \
	tests/e2e/test_page_memory.py
# Long runs that wait for more than they do, or do it in browsers.
BESIDE := tests/stress/test_pages.py tests/stress/test_log_on_a_phone.py
MUTANTS := build/mutants
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Where it is set, each of the hundreds of processes that the tests start compiles all of app/ anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo serve setup test stress stress-alone stress-beside mutants check check-code \
	check-types check-documents format docs screenshots bench clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: setup ## the main job from end to end, as an end user sees it; N=... is its input
	$(BIN)/slipway demo --n $(N)

serve: setup ## run the service on http://127.0.0.1:8080
	$(BIN)/slipway serve

setup: .venv/.installed ## make .venv/bin/slipway

test: .venv/.installed-dev ## every test that needs no external server, and those whose server is there
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal -p no:schemathesis \
		$(addprefix --ignore ,tests/stress $(SCALED))

# Two at once, make --jobs 2 stress, suit the tenth; the whole is written down by either at its end.
stress: stress-alone stress-beside ## the long runs: kills, crowds, floods; SLIPWAY_STRESS=0.1 is a tenth

stress-alone stress-beside: export SLIPWAY_STRESS ?= 1
stress-alone: .venv/.installed-dev
	$(BIN)/python -m pytest --timeout 3000 tests/stress $(addprefix --ignore ,$(BESIDE))

stress-beside: .venv/.installed-dev
	$(BIN)/python -m pytest --timeout 3000 --numprocesses $(WORKERS) --dist worksteal \
		$(SCALED) $(BESIDE)

mutants: export PYTHONPATH = $(MUTANTS)/lib
mutants: .venv/.installed-dev ## how many faults that are put in by lot the unit tests notice
	$(PIP) --no-deps --upgrade --target $(MUTANTS)/lib coverage libcst mutmut
	nice -n 19 $(BIN)/python tests/mutants.py --cover --folder $(MUTANTS) app/services app/store
	nice -n 19 $(BIN)/python tests/mutants.py --folder $(MUTANTS) app/services app/store

check: check-code check-types check-documents ## formatting, lint, types, import rules, generated files

check-code: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

check-types: .venv/.installed-dev
	$(BIN)/mypy

check-documents: .venv/.installed-dev
	$(BIN)/slipway openapi --check openapi || (echo 'openapi/ is stale: make docs'; exit 1)
	$(BIN)/slipway config-docs | diff -u docs/configuration.md - || (echo 'docs/configuration.md is stale: make docs'; exit 1)
	$(BIN)/python -m slipway.cli.llms docs | diff -u llms.txt - || (echo 'llms.txt is stale: make docs'; exit 1)

format: .venv/.installed-dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.installed ## write the generated documents again
	$(BIN)/slipway openapi --write openapi
	$(BIN)/slipway config-docs > docs/configuration.md
	$(BIN)/python -m slipway.cli.llms docs > llms.txt

screenshots: .venv/.installed-dev ## take the pictures of docs/guides/page.md again
	PYTHONPATH=tests $(BIN)/python tests/screenshots.py docs/images

bench: .venv/.installed-dev ## print the figures of docs/performance.md
	$(BIN)/python -m bench

clean: ## remove what the targets made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(MUTANTS)

# pip comes last, so one that was not finished is made anew.
.venv/bin/pip:
	$(PYTHON) -m venv --clear .venv || \
		(rm -rf .venv; echo 'The module venv is missing: apt-get install python3-venv'; exit 1)

.venv/.installed: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[server]'
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@
