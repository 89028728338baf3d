# `make demo` shows it, `make test` proves it, `make check` is the fast tier. Everything is set up on the way.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := .venv/bin
PYTEST = $(BIN)/python -m pytest
# A file stays with one worker, and with it what its tests share.
WORKERS = -n 2 --dist loadfile
export PATH := $(CURDIR)/build/uv:$(PATH)
# Byte code halves Airflow's start; some machines switch it off.
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV

.PHONY: bench fuzz compose-env test-docker help setup packages demo check lint format types imports test unit fast contract faults e2e lock wheel clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup:  ## make .venv (a fraction of a second when nothing changed)
	@scripts/bootstrap

demo:  ## raw data → trained → live → scored nightly, on this machine (EXIT=1 stops by itself)
	@started=$$(date +%s.%N); scripts/bootstrap; exec $(BIN)/python -m demo --started $$started $(if $(EXIT),--exit)

check: lint types imports fast  ## the fast tier: lint, types, import rules, unit and DAG tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup  ## write what the linters would ask for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup
	scripts/typecheck

imports: setup
	PYTHONPATH=plugins $(BIN)/lint-imports --no-cache

# What runs images' programs and compilers in environments of their own is not fast; `make unit` and `make test` have it.
PROGRAMS = tests/unit/containers/digits tests/unit/containers/bank-marketing \
  tests/unit/containers/sagemaker-local/neo/compilers tests/unit/containers/sagemaker-local/serving/test_model_server.py

fast: setup
	$(PYTEST) -q $(WORKERS) tests/unit tests/dags $(PROGRAMS:%=--ignore %)

unit: setup
	$(PYTEST) -q $(WORKERS) tests/unit tests/dags

contract: setup packages  ## clients that nobody here wrote, against the local SageMaker
	$(PYTEST) -q tests/contract

faults e2e: setup packages  ## failure paths; the whole chain by a real scheduler
	$(PYTEST) -q tests/$@

packages:  # of Debian: a sandbox, a browser, a database and LightGBM's library for tests; make demo needs none
	@scripts/packages bubblewrap:bwrap chromium 'postgresql:/usr/lib/postgresql/*/bin/initdb' \
	  'libgomp1:/usr/lib/*/libgomp.so.1'

fuzz: setup  ## feed what reads strangers' bytes with noise (SECONDS_EACH=10)
	@for target in chunked document request faults pattern archive s3 gate; do \
	  PYTHONPATH=containers/sagemaker-local/src $(BIN)/python tests/fuzz/fuzz.py $$target \
	    -max_total_time=$(or $(SECONDS_EACH),10) -max_len=1000 -verbosity=0 -close_fd_mask=1; \
	done

test: lint types imports packages  ## every test
	$(PYTEST) -q $(WORKERS) tests/unit tests/dags tests/docs tests/contract
	$(PYTEST) -q tests/e2e tests/faults

bench: setup  ## ours against what people use: all in under 15 minutes, one by NAME=serving (LIST=1, FULL=1, RESUME=1)
	@scripts/packages bubblewrap:bwrap 'postgresql:/usr/lib/postgresql/*/bin/initdb'
	@$(BIN)/python -m benchmarks $(NAME) $(if $(LIST),--list) $(if $(FULL),--full) $(if $(RESUME),--resume)

test-docker: setup  ## the same by Docker's engine, and the stack of docker-compose.yaml (as root it installs one)
	@scripts/test_docker

compose-env:  ## write the secrets of docker-compose.yaml to .env
	@scripts/compose_env

lock: setup  ## compile requirements*.in
	scripts/lock

wheel: setup  ## build the provider's wheel and the local SageMaker's into dist/
	build/uv/uv build --quiet --wheel --out-dir dist .
	build/uv/uv build --quiet --wheel --out-dir dist containers/sagemaker-local

clean:  ## remove what was built (not the environment)
	rm -rf build/demo build/test build/docker dist
