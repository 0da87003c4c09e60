# The tasks of Sijil; `make` alone lists them. Needs make and Python 3.11 or newer.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# Three processes for two cores, since a quarter of the time is spent waiting: each has a
# PostgreSQL of its own, and files stay whole, in the order of tests/conftest.py.
SUITE := $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help run test check fuzz format bench load env other-server openapi asyncapi lock audit clean

help: ## list these tasks
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / \
		{ printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# With a Kafka, its own (KAFKA=1) or the one of SIJIL_KAFKA, the analytics run too.
STREAMS := $(filter-out 0,$(KAFKA))$(SIJIL_KAFKA)

run: .venv/runtime.installed $(if $(STREAMS),.venv/analytics.installed) ## start everything on 127.0.0.1:8000 (SIJIL_PORT); KAFKA=1 adds Kafka
	@exec $(BIN)/sijil run $(if $(filter-out 0,$(KAFKA)),--kafka)

test: .venv/dev.installed ## run the whole suite
	$(SUITE)

check: .venv/dev.installed ## format, lint, types, import rules, tests and docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SUITE)

fuzz: .venv/dev.installed ## ask the API for anything, as everybody, for SIJIL_FUZZ_S seconds
	$(BIN)/python -m benchmarks.fuzz --seconds $${SIJIL_FUZZ_S:-900} \
		--seed $${SIJIL_FUZZ_SEED:-1}

format: .venv/dev.installed ## rewrite the code in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.installed ## measure the claims of speed, and kill what claims to survive it
	$(BIN)/python -m benchmarks.append
	$(BIN)/python -m benchmarks.store_append
	$(BIN)/python -m benchmarks.use_case
	$(BIN)/python -m benchmarks.store_latency
	$(BIN)/python -m benchmarks.store_read
	$(BIN)/python -m benchmarks.store_order
	$(BIN)/python -m benchmarks.time_at_head
	$(BIN)/python -m benchmarks.store_growth
	$(BIN)/python -m benchmarks.queue
	$(BIN)/python -m benchmarks.bulk
	$(BIN)/python -m benchmarks.restore
	$(BIN)/python -m benchmarks.store_bulk
	$(BIN)/python -m benchmarks.order_under_kills
	$(BIN)/python -m benchmarks.timers_under_kills
	$(BIN)/python -m benchmarks.assignment_under_kills
	$(BIN)/python -m benchmarks.import_under_kills
	$(BIN)/python -m benchmarks.first_start
	$(BIN)/python -m benchmarks.views
	$(BIN)/python -m benchmarks.view_lag
	$(BIN)/python -m benchmarks.rebuild_memory
	$(BIN)/python -m benchmarks.views_under_kills
	$(BIN)/python -m benchmarks.relay
	$(BIN)/python -m benchmarks.inward
	$(BIN)/python -m benchmarks.inward_under_kills
	$(BIN)/python -m benchmarks.relay_under_kills
	$(BIN)/python -m benchmarks.recount_over_http
	$(BIN)/python -m benchmarks.recount_over_http --desk

load: .venv/load.installed ## a working day's peak at a hundred times the national rate
	$(BIN)/python -m benchmarks.working_day

other-server: .venv/dev.installed ## run the ledger's tests on another PostgreSQL
	$(BIN)/python -m tests.other_server $(SUITE) tests/ledger tests/conformance

openapi: .venv/dev.installed ## write docs/reference/openapi.json anew
	$(BIN)/sijil openapi --output docs/reference/openapi.json

asyncapi: .venv/dev.installed ## write docs/reference/asyncapi.json and schemas/ anew
	$(BIN)/sijil topics describe --output docs/reference

env: .venv/dev.installed ## make the environment for developers, with hashes

lock: .venv/dev.installed ## choose the versions in requirements/ anew
	$(LOCK) --only-build-deps --build-deps-for editable \
		--output-file requirements/build.txt pyproject.toml
	$(LOCK) --upgrade --output-file requirements/runtime.txt pyproject.toml
	$(LOCK) --upgrade --extra analytics --constraint requirements/runtime.txt \
		--output-file requirements/analytics.txt pyproject.toml
	$(LOCK) --upgrade --extra dev --extra analytics \
		--constraint requirements/runtime.txt \
		--constraint requirements/analytics.txt \
		--output-file requirements/dev.txt pyproject.toml
	$(LOCK) --upgrade --extra load --constraint requirements/runtime.txt \
		--constraint requirements/dev.txt \
		--output-file requirements/load.txt pyproject.toml

audit: .venv/dev.installed ## ask the advisory database about the pinned versions
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/runtime.txt

clean: ## remove the environment and caches; never the data in .sijil
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis

# Installed again only when what is to be installed has changed.
.venv/%.installed: requirements/build.txt requirements/%.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Sijil needs Python 3.11 or newer: install it, \
	or name it with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	"Sijil needs Python 3.11 or newer; $(PYTHON) is older: name another with \
	make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { echo "The environment \
	could not be made: Debian has venv in the package python3-venv." >&2; exit 1; }
	@echo "Installing requirements/$*.txt ..."
	@$(PIP) --require-hashes -r requirements/build.txt
	@$(PIP) --require-hashes -r requirements/$*.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
