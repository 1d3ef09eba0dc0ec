# Every target makes what it needs. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
CORE   := $(VENV)/.core
DEV    := $(VENV)/.dev
export HF_HUB_OFFLINE ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: help setup demo study test test-slow lint types bench chaos clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup: $(CORE)  ## make .venv and install the project in it

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; install Python 3.11 or newer, or give PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; give PYTHON=…"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(CORE): pyproject.toml | $(PY)
	$(PY) -m pip install -q -e . -c constraints.txt
	@touch $(CORE)

$(DEV): pyproject.toml | $(PY)
	$(PY) -m pip install -q -e '.[dev]' -c constraints.txt
	@touch $(CORE) $(DEV)

demo: $(CORE)  ## train attention fusion on the embedded RGB + UV specimens, and show what can be predicted from each modality
	$(PY) -m multimodal_lab.run fusion=attention modality=rgb_uv

study: $(CORE)  ## does UV add to RGB? every arm, control and seed on the embedded specimens, then the verdicts
	$(PY) -m multimodal_lab.run study=rgb_vs_uv study.jobs=2

lint: $(DEV)  ## style
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(DEV)  ## types
	MYPY_NUM_WORKERS=2 $(VENV)/bin/mypy

test: $(DEV) lint types  ## lint, type-check, run the tests
	@$(PY) -m compileall -q multimodal_lab hydra_plugins  # or, under PYTHONDONTWRITEBYTECODE, every process does it anew
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist worksteal

test-slow: $(DEV)  ## the trials of minutes that `make test` leaves out
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 -m slow

bench: $(DEV)  ## one table: every figure beside its peers, its physical limit and its goal; takes a quarter of an hour
	@$(PY) scripts/bench/_all.py

chaos: $(DEV)  ## kill, damage, starve and stop real trainings; says whether anything was lost; takes a quarter of an hour
	@lost=; for f in scripts/chaos/[!_]*.py; do $(PY) $$f; case $$? in 0|3) ;; *) lost="$$lost $$(basename $$f)";; esac; done; \
	if [ -z "$$lost" ]; then echo "chaos: NOTHING LOST"; else echo "chaos: LOST, see above:$$lost"; exit 1; fi

clean:  ## remove .venv and caches; runs stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
