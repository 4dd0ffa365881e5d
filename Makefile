# Needs Python 3.11 or newer, make and a network; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run test chaos conformance hostile lint docs bench bench-compare clean
.DELETE_ON_ERROR:

run: $(VENV)/.run
	$(BIN)/twistd --nodaemon --pidfile= realtime-relay --demo

# Coverage of several processes is combined, hence the erasing first. The suite's own failure
# counts before the report's.
test: $(VENV)/.test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The same as a part of "test", with all of its load; half an hour and more.
chaos: $(VENV)/.test
	CHAOS=long $(BIN)/python -m pytest -s tests/chaos tests/model $(PYTEST_ARGS)

# The Autobahn testsuite, whole, on both sides of the relay. It wants a Python 2.7.
conformance: $(VENV)/.test
	CONFORMANCE=whole $(BIN)/python -m pytest -rs -s tests/e2e/test_fuzzing.py

# All attacks at once, beside a hundred honest sessions.
hostile: $(VENV)/.test
	CHAOS=long $(BIN)/python -m pytest -s tests/hostile $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml relay twisted

# The pages are in build/docs. The draft is only made, so that no news fragment is misnamed.
docs: $(VENV)/.docs
	$(BIN)/towncrier build --draft >/dev/null
	$(BIN)/sphinx-build --quiet --fail-on-warning --fresh-env docs build/docs

# The figures are of this machine, and of this moment.
bench: $(VENV)/.bench
	$(BIN)/python -m bench $(BENCH_ARGS)

bench-compare: $(VENV)/.bench
	$(BIN)/python -m bench.compare $(BENCH_ARGS) $(BASE) $(HEAD)

clean:
	rm -rf $(VENV) build *.egg-info .coverage .coverage.*

# One stamp for each set of dependencies, so that nothing is installed twice.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.docs: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/.run

# Without npm one peer is left out, and the benchmark says so.
$(VENV)/.bench: setup.cfg pyproject.toml bench/peers/package.json | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	-npm install --prefix bench/peers --no-package-lock --no-audit --no-fund --ignore-scripts \
	    --loglevel=error
	touch $@ $(VENV)/.run
