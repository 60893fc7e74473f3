# Everything a clone needs: Python 3.11+ and Java 17+ are asked of the machine, the rest is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG ?= conf/demo.yml
READY := $(VENV)/ready
AIRFLOW := .venv-airflow
RUNTIME := .venv-runtime

.DEFAULT_GOAL := help
.PHONY: help install run check test test-ci test-all test-connect test-runtime test-airflow lint bench package lock audit clean

help: ## every target in a line
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## the whole pipeline on the demo data (another: make run CONFIG=conf/mine.yml)
	@$(BIN)/customer-segmentation run --config $(CONFIG)

check: install ## validate a configuration and its sources, run nothing
	@$(BIN)/customer-segmentation check --config $(CONFIG)

test: install lint package ## lint, types, layers and the quick tests
	@$(BIN)/python -m pytest -m "not slow"

test-ci: install lint package ## make test, and the slow tests but for the longest
	@$(BIN)/python -m pytest -m "not long"

test-all: install lint package ## make test-ci, and the longest: kills, damage, days, the notebook, clusters, Spark Connect
	@$(BIN)/python -m pytest

test-connect: install package ## the quick tests against a Spark Connect server, but for what needs classic Spark
	@$(BIN)/python -m pytest -m "not slow" --connect

test-runtime: $(RUNTIME)/ready package ## the quick tests with the libraries of Databricks runtime 17: Spark 4.0, pandas 2.2 ...
	@$(RUNTIME)/bin/python -m pytest -m "not slow"

test-airflow: install $(AIRFLOW)/ready ## the example for Airflow, with a real one in an environment of its own
	@AIRFLOW_PYTHON=$(CURDIR)/$(AIRFLOW)/bin/python $(BIN)/python -m pytest tests/deployment/test_airflow.py

lint: install ## ruff, mypy and the layers
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports --no-logo

bench: install ## the benchmarks; results in benchmarks/results
	@$(BIN)/python -m benchmarks

package: install ## dist/customer_segmentation.zip for spark-submit --py-files, and the wheel it is made of
	@rm -rf build dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@cp dist/customer_segmentation-*.whl dist/customer_segmentation.zip

lock: install ## write requirements.txt anew from setup.py, with the hash of every file that may be installed
	@$(BIN)/pip-compile --quiet --generate-hashes --extra dev --strip-extras --allow-unsafe --no-emit-index-url --no-emit-find-links \
		--no-emit-trusted-host --no-emit-options --output-file requirements.txt setup.py

audit: install ## known vulnerabilities of the pinned requirements, as the advisory service of PyPI lists them
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --requirement requirements.txt || \
		{ echo "If it says that it can't connect: the advisory service is not to be reached from here, and nothing was audited" >&2; exit 1; }

clean: ## remove what was built and installed; tables under warehouse/ stay
	@rm -rf $(VENV) $(AIRFLOW) $(RUNTIME) build dist lib/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

install: $(READY) ## .venv from the pinned requirements by their hashes, when it is missing or out of date; Delta's jars

$(READY): requirements.txt setup.py
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed; there is no $(PYTHON). Name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) lib/customer_segmentation/spark/prerequisites.py
	@echo "Installing the pinned requirements into $(VENV) (once, a few minutes) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { echo "Python's venv module is missing; Debian: apt-get install python3-venv" >&2; exit 1; }
	@awk '/^(packaging|setuptools|wheel)==/ {p = 1} p {print} !/\\$$/ {p = 0}' requirements.txt > $(VENV)/build.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(VENV)/build.txt
	@# Spark comes as sources: its half a gigabyte of jars is put into a wheel as it is. Modules are compiled when used,
	@# and those that each run uses at once, for an environment that keeps Python from writing compiled ones.
	@printf '[bdist_wheel]\ncompression = stored\n' > $(VENV)/build.cfg
	@DIST_EXTRA_CONFIG=$(CURDIR)/$(VENV)/build.cfg $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --no-build-isolation --no-compile --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c "import altair, pyspark.worker, sklearn.cluster, customer_segmentation.cli.work"
	@$(BIN)/python -m customer_segmentation.spark.jars >/dev/null
	@touch $@

$(RUNTIME)/ready: tests/deployment/runtime-17.txt setup.py
	@echo "Installing the libraries of Databricks runtime 17 into $(RUNTIME) (once, a few minutes) ..."
	@$(PYTHON) -m venv --clear $(RUNTIME)
	@$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check setuptools wheel
	@$(RUNTIME)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-compile \
		--constraint tests/deployment/runtime-17.txt --editable ".[dev]"
	@$(RUNTIME)/bin/python -m customer_segmentation.spark.jars >/dev/null
	@touch $@

$(AIRFLOW)/ready:
	@echo "Installing Airflow into $(AIRFLOW) (once, a few minutes) ..."
	@$(PYTHON) -m venv --clear $(AIRFLOW)
	@$(AIRFLOW)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		"apache-airflow==3.*" apache-airflow-providers-standard
	@touch $@
