# Everything a clone needs: `make help` lists the targets.
# Needs make, git and Python 3.11 or newer; all else is installed into .venv at the versions of the lock files.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# The folder of the databases that `make run` writes, and further flags for it: make run ARGS="--duration 10s"
DATA ?= data
ARGS ?=
# How long the run of `make example` is: 0.1 is three minutes, 1 half an hour.
SCALE ?= 0.1
# Files of tests side by side; a file stays together because of what its tests share.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
UV_VERSION := 0.13.8
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --quiet --upgrade \
	--custom-compile-command "make lock"
CODE := daemon tests bench docs dashboards

# Some images set it. Each of the processes that a run starts would then compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: run test bench lint type format docs dashboards preview example lock clean help

run: $(VENV)/.soakd ## one minute of load on a new SQLite file, live view, metrics at http://127.0.0.1:8080/metrics
	@mkdir -p $(DATA)
	$(BIN)/soakd run --target sqlite:///$(DATA)/soakd-$$(date +%Y%m%d-%H%M%S).db --duration 60s \
		--writers 10 --readers 5 --batch-size 100 --batch-timeout 10ms --queue-size 10000 \
		--listen 127.0.0.1:8080 $(ARGS)

test: $(VENV)/.dev ## all tests, on real SQLite and PostgreSQL
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/.dev ## speed and memory against raw SQLite and pgbench; takes some minutes
	$(BIN)/python -m bench $(ARGS)

lint: $(VENV)/.dev ## style and common mistakes
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

type: $(VENV)/.dev ## static types
	$(BIN)/mypy

format: $(VENV)/.dev ## put the code into the style that lint asks for
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

docs: $(VENV)/.dev ## write docs/configuration.md and the tables of README.md anew from the code
	$(BIN)/python -m docs.generate

dashboards: $(VENV)/.dev ## write Grafana's dashboards in deploy/grafana/dashboards anew from the code
	$(BIN)/python -m dashboards

preview: $(VENV)/.dev ## draw docs/preview anew from a run of three minutes; needs Prometheus and PostgreSQL
	$(BIN)/python -m dashboards.preview

example: $(VENV)/.soakd ## write docs/examples anew from a run of the scenario `sustained`, of SCALE times half an hour
	bin=$$(cd $(BIN) && pwd) out=$$(pwd)/docs/examples && mkdir -p "$$out" && dir=$$(mktemp -d) && \
	trap "rm -rf $$dir" EXIT && cd "$$dir" && \
	{ "$$bin"/soakd run --scenario sustained --time-scale $(SCALE) --target sqlite:///sustained.db || [ $$? = 4 ]; } && \
	"$$bin"/soakd report last --format html --output "$$out"/sustained.html && \
	"$$bin"/soakd report last --format md --output "$$out"/sustained.md

lock: ## newest allowed versions of all dependencies into the lock files
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)
	printf 'hatchling\neditables\n' | $(VENV)-lock/bin/uv pip compile $(COMPILE) pyproject.toml - -o requirements.lock
	printf 'hatchling\neditables\n' | $(VENV)-lock/bin/uv pip compile $(COMPILE) pyproject.toml - --extra dev \
		--constraints requirements.lock -o requirements-dev.lock
	rm -rf $(VENV)-lock

clean: ## remove the environment, caches and build results; databases stay
	rm -rf $(VENV) $(VENV)-lock build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "soakd needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The build backend is in the lock too, so the package is built without fetching anything.
$(VENV)/.soakd: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.soakd
	$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
