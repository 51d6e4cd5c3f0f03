# Thin verbs. Each sets up what it needs: .venv from requirements.lock, once, and again when the lock changes.

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
SYNTH_STAMP := $(VENV)/.installed-synth
# There while a set-up runs: found at the next start, it tells of an interrupted one.
UNFINISHED := $(VENV)/.unfinished

# What the verbs take, e.g. `make verilog CONFIG=tiny OUT=/tmp/tiny`.
CONFIG := small
OUT := build/verilog
N := 2000

# Verilator runs a make of its own, which must not inherit this one's options, variables and job slots.
MAKEOVERRIDES :=
unexport MAKEFLAGS MFLAGS CONFIG OUT N

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench bench-rtl synth soak verilog docs clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## make the environment (the verbs below do it themselves)

demo: $(STAMP) ## run 100 real handwritten digits on the simulated accelerator
	$(VENV)/bin/tilewright run examples/digits/digits_int8.onnx --images examples/digits/test.npz \
	  --config small --on rtl --count 100

test: $(STAMP) ## run the tests
	$(PY) -m pytest -n 2

lint: $(STAMP) ## check style, format and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

bench: $(STAMP) ## measure networks against their targets, and the tools' speed
	$(PY) -m tilewright.bench

bench-rtl: $(STAMP) ## run whole ImageNet networks on the RTL, compared layer by layer
	$(PY) -m tilewright.bench.rtl

synth: $(SYNTH_STAMP) ## synthesise, place and route: docs/synthesis.md and the resource model's data (hours)
	$(PY) -m tilewright.synthesis

soak: $(STAMP) ## run N random layers (N=2000) and 50 N damaged models
	@$(PY) -m pip install --quiet --no-input --no-build-isolation --editable '.[fuzz]' || \
	  { echo "soak: no fuzzer for this Python or machine: see the lines above" >&2; exit 1; }
	TILEWRIGHT_SOAK_CASES=$(N) $(PY) -m pytest -n 2 -m soak

verilog: $(STAMP) ## write the Verilog of one configuration (CONFIG=small OUT=build/verilog)
	$(VENV)/bin/tilewright generate --config $(CONFIG) --out $(OUT)

docs: $(STAMP) ## write the generated pages of docs/, and the outputs that the docs show
	$(PY) -m tilewright.docs

clean: ## remove what the verbs wrote, the environment excepted
	rm -rf build sim_build results.xml .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

# --- set-up ---

# The first of these that passes the given check; the shims of version managers may exist and not run.
python_that = $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c '$(1)' >/dev/null 2>&1 && { echo $$p; break; }; done)
NEW_ENOUGH := import sys; assert sys.version_info >= (3, 11)
# Debian ships ensurepip apart from Python.
MAKES_VENV := $(NEW_ENOUGH); import venv, ensurepip

PYTHON = $(or $(call python_that,$(MAKES_VENV)),$(if $(call python_that,$(NEW_ENOUGH)),\
  $(error Python cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)),\
  $(error no Python 3.11 or newer found: install one (Debian, Ubuntu: apt-get install python3 python3-venv))))

needs = $(if $(shell command -v $(1) 2>/dev/null),,\
  $(error $(1) not found, Verilator needs it: install it (Debian, Ubuntu: apt-get install $(1))))

# Tools and Python are looked for before the first line runs. A .venv that was left half made, or whose
# Python is gone or too old, is emptied (the mark last to survive) and made anew; a whole one is updated.
$(STAMP): requirements.lock pyproject.toml
	$(call needs,g++)$(call needs,perl)@python='$(PYTHON)'; mkdir -p $(VENV); \
	if test -e $(UNFINISHED) || ! $(PY) -c '$(NEW_ENOUGH); import pip' 2>/dev/null; then \
	  echo "setup: making $(VENV) with $$python (about a minute, 1 GB)"; touch $(UNFINISHED); \
	  find $(VENV) -mindepth 1 -maxdepth 1 ! -path $(UNFINISHED) -exec rm -rf {} +; \
	  $$python -m venv $(VENV); \
	fi
	@touch $(UNFINISHED)
	@$(PY) -m pip install --quiet --no-input --no-deps -r requirements.lock || \
	  { echo "setup: pip failed: see the lines above, check the network, and run make again" >&2; exit 1; }
	@$(PY) -m pip install --quiet --no-input --no-deps --no-build-isolation --editable .
	@mv $(UNFINISHED) $@

# Place and route, which only one verb needs.
$(SYNTH_STAMP): $(STAMP) requirements-synth.lock
	@$(PY) -m pip install --quiet --no-input --no-deps -r requirements-synth.lock || \
	  { echo "setup: pip failed: see the lines above, check the network, and run make synth again" >&2; exit 1; }
	@touch $@
