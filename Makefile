# demo · test · check · lint · train · eval · index · pictures · static · deploy REPO=OWNER/NAME        (every target sets up what it needs)
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF
export OMP_WAIT_POLICY ?= PASSIVE
ROWS := --part dev --limit 24 --name local --judge local

.PHONY: setup setup-dev demo test check lint train eval index pictures static deploy clean

setup: $(VENV)/.app
setup-dev: $(VENV)/.dev

$(VENV)/.app: requirements.txt requirements-embedded.txt
	@echo "Setting up. llama.cpp is compiled the first time: about 6 to 12 minutes on two cores."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(PIP) -r requirements.txt -r requirements-embedded.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.app requirements-dev.txt requirements-unsloth.txt
	$(PIP) -r requirements-dev.txt
	$(PIP) --no-deps -r requirements-unsloth.txt
	@touch $@

demo: setup
	SHARE=$(SHARE) $(BIN)/python space/app.py

test: setup-dev
	$(BIN)/python -m pytest -m "not heavy"

check: setup-dev lint
	FUZZ_CASES=100000 $(BIN)/python -m pytest
	$(BIN)/python -m train.data check

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

train: setup-dev
	$(BIN)/python -m train.run train/recipes/smollm2-135m.toml $(ARGS)

eval: setup-dev
	$(BIN)/python -m eval.run $(ROWS)

index: setup
	$(BIN)/python -m train.index

pictures: setup-dev
	$(BIN)/python -m tests.tools.pictures

static: setup
	$(BIN)/python -m eval.export --out work/static

deploy: setup
	$(BIN)/python -m space.deploy --repo $(REPO)

clean:
	rm -rf $(VENV) work
