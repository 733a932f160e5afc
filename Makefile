# make demo   run the jobs one after the other on the example (core only)
# make test   run all tests
# make check  lint, format, types, tests
# make bench  speed and memory, as ratios
# make bench-clips    cutting of clips beside libsndfile alone, as ratios
# make bench-diarize  diarization beside the bare loops of NeMo and onnxruntime, as ratios
# make engines        install Prism and Flink's job server into a cache (Go, Java and Maven needed)
# make bench-engines  the same job on Flink and Prism, as ratios
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
DEV := $(VENV)/.dev-installed
BEAM_VERSION := $(shell sed -n 's/^apache-beam==//p' requirements.lock)

.PHONY: demo test check lint bench bench-clips bench-diarize bench-engines engines lock clean

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(CORE): $(BIN)/pip pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable .
	touch $@

$(DEV): $(BIN)/pip pyproject.toml requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	touch $@ $(CORE)

demo: $(CORE)
	$(BIN)/python examples/make_recordings.py harbour garden workshop kitchen
	$(BIN)/beam-curator windows examples/talks.jsonl --output demo_output/windows --tolerate 1 --overwrite
	$(BIN)/beam-curator extract demo_output/windows --output demo_output/clips --output-format flac --overwrite
	$(BIN)/beam-curator extract examples/pieces.jsonl --output demo_output/pieces --output-format flac --overwrite
	$(BIN)/beam-curator export examples/pieces.jsonl --output demo_output/export --generate-previews --overwrite
	@for set in windows clips pieces export; do echo "demo_output/$$set:"; ls demo_output/$$set | sed 's/^/  /'; done

test: $(DEV)
	$(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/engines
	$(BIN)/python -m pytest tests/engines --durations 0 --durations-min 1 -v

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: $(DEV)
	$(BIN)/python benchmarks/bench_windows.py

bench-clips: $(DEV)
	$(BIN)/python benchmarks/bench_clips.py

bench-diarize: $(DEV)
	$(BIN)/python benchmarks/bench_diarize.py

bench-engines: $(DEV)
	$(BIN)/python benchmarks/bench_engines.py

engines:
	templates/install_engines $(BEAM_VERSION)

lock: $(DEV)
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:
	rm -rf $(VENV) demo_output examples/audio
