# The two commands of the README, and what developers need beside them.
# Everything runs in .venv, made from the hashed lock; only Python >= 3.11 with venv and a package index are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 1
# the tests wait a third of their time: two more at a time than there are cores
SIDE_BY_SIDE ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')
PYTEST = $(BIN)/python -m pytest -n $(SIDE_BY_SIDE) --dist loadgroup
# tests start hundreds of processes: each would compile everything anew if none may keep what it compiled
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test wide soak bench lint lock clean

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/switchpoint demo --workers $(WORKERS) $(if $(ONCE),--once) $(if $(RECORDS),--records $(RECORDS))

test: $(STAMP)
	$(PYTEST)

# the repetitions: what `make test` asks of a few pages, texts or faults is asked of all the others
wide: $(STAMP)
	$(PYTEST) --wide -m wide

# everything, and the long versions
soak: $(STAMP)
	$(PYTEST) --soak

bench: $(STAMP)
	$(BIN)/python -m benchmarks.query

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock:
	uv pip compile pyproject.toml --extra test --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--universal --python-version 3.11 --output-file requirements.lock

clean:
	rm -rf .switchpoint $(VENV)
