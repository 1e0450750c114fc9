# The two commands of the README, and what developers need beside them.
# Everything runs in .venv, made from the hashed lock; only Python >= 3.11 with venv and a package index are needed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 1

.PHONY: demo test soak bench lint lock clean

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/switchpoint demo --workers $(WORKERS) $(if $(ONCE),--once) $(if $(RECORDS),--records $(RECORDS))

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadgroup

soak: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadgroup --soak

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
