# Every target works as the first command on a fresh machine: it makes the virtual environment itself.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# small models gain nothing from many threads, and lose much
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test test-all check docs coverage licences bench
.DEFAULT_GOAL := demo

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no python found: install python 3.11 or later, or give PYTHON=/path/to/it" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is no python 3.11 or later: install python 3.11 or later, or give PYTHON=/path/to/it" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## the four rooms, each on its embedded models: learn, judge, one table and one page
	$(BIN)/trimtab demo

test: $(STAMP) ## the fast tests
	$(BIN)/python -m pytest -q

test-all: $(STAMP) ## the slow ones too, and, on a machine with an accelerator, those that need it
	$(BIN)/python -m pytest -q -m "slow or not slow"

check: $(STAMP) ## style, types, and the arrows between modules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/pyright

docs: $(STAMP) ## the documentation as a site, in site/; a warning is an error
	$(BIN)/mkdocs build --strict --quiet

coverage: $(STAMP) ## the fast tests again, and which share of each room they run; what is not run is listed in coverage.json
	$(BIN)/python -m pytest -q --cov=trimtab --cov-report=json:coverage.json --cov-report=
	$(BIN)/python dev/coverage_by_room.py coverage.json

licences: $(STAMP) ## the licences of everything that is installed with trimtab
	$(BIN)/python dev/licences.py

bench: $(STAMP) ## the numbers in the README, measured on this machine
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done
