PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BUDGET ?= 150s
OUT ?= runs/digits-$(shell date +%Y%m%d-%H%M%S)

.DEFAULT_GOAL := help
.PHONY: help setup train test slow lint format bench docs clean

help:
	@echo "make setup   create .venv with everything (extras dev and mnist)"
	@echo "make train   train a generator of digits ($(BUDGET) of training) and show what it makes"
	@echo "make test    the tests (under 4 minutes on 2 cores)"
	@echo "make slow    the longer checks (about 45 minutes of one core)"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   speed against the peers (installs them)"
	@echo "make docs    the documentation, in docs/_build/html"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@echo "Installing otgen into $(VENV): some minutes the first time, with nothing to see."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,mnist]'
	touch $(READY)

train: setup
	$(BIN)/otgen train --budget $(BUDGET) --out $(OUT)

# A process a core, with one thread each: the problems of the tests are tiny.
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

slow: setup
	$(BIN)/python -m pytest -m slow

lint: setup
	$(BIN)/ruff check src tests benchmarks scripts studies docs
	$(BIN)/ruff format --check src tests benchmarks scripts studies docs
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix src tests benchmarks scripts studies docs
	$(BIN)/ruff format src tests benchmarks scripts studies docs

bench: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/python -m benchmarks

docs: setup
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build
