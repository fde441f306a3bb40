# `make demo` and `make test` each do everything that a fresh clone needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format clean

demo: .venv/.core
	@rm -rf runs/demo exports/demo
	$(BIN)/nas search configs/digits.yaml --out runs/demo
	$(BIN)/nas report runs/demo
	$(BIN)/nas export runs/demo --format module --out exports/demo

test: .venv/.dev check
	@rm -rf runs/smoke
	$(BIN)/nas search configs/smoke.yaml --out runs/smoke
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --warnings

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv runs exports build *.egg-info

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/.core: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) --editable .
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) --editable '.[dev,gymnasium,images,onnx,optim,text,timm]'
	@touch $@ .venv/.core
