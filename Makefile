# make demo   from a recording to turns, tracks, training windows, clips and embeddings, and a page that shows them; people in conversation (core and pyannote.metrics)
# make demo-live   a recording as eight live streams: who talks, in the terminal, and the score at the end (core and pyannote.metrics)
# make models fetch the weights of cascade, silero-vad and dnsmos into the cache of this user, once (102 MB); demo and test do so
# make test   run the tests; those on real engines are skipped where an engine is missing
# make test-core   the tests that need neither torch nor NeMo nor an engine, in an environment of their own
# make test-all    run the slow tests, too: long kills, all moments of a crash, every preset beside NeMo
# make test-browser   the page of `report` in Chromium, with axe-core (Chromium and npm needed)
# make check  lint, format, types, tests
# make bench  speed and memory, as ratios
# make bench-clips    cutting of clips beside libsndfile alone, as ratios
# make bench-tracks   tracks of speakers beside libsndfile alone, as ratios
# make bench-diarize  diarization beside the bare loops of NeMo and onnxruntime, as ratios
# make bench-stream   live streams beside bare steps of the model, as ratios
# make bench-cascade  the cascade beside its own models, as ratios
# make bench-listing  the plan of a job on 100,000 recordings, beside a bare walk
# make bench-vad      speech found beside silero-vad's own loop and the bare session, as ratios
# make bench-scores   clips scored by DNSMOS beside its bare sessions, as a ratio
# make bench-curate   clean clips beside the bare loops of their models, as ratios; memory
# make bench-update   updates of a set of 1,000 recordings, and the plan of one of 100,000
# make engines        install Prism and Flink's job server into a cache (Go, Java and Maven needed)
# make bench-engines  the same job on Flink and Prism, as ratios
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.core-installed
EVAL := $(VENV)/.eval-installed
LIVE := demo_output/live
DEV := $(VENV)/.dev-installed
TEST := $(VENV)/.test-installed
INSTALL := pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock --editable
ROUND_TABLE := --target-window-duration 60 --min-bandwidth 2000 --no-truncation
CURATE := curate examples/round_table.opus --model-name demo --output demo_output/curated --min-snr 20 --overwrite
BEAM_VERSION := $(shell sed -n 's/^apache-beam==//p' requirements.lock)

.PHONY: test-browser demo demo-live dev models test test-all test-core check lint bench bench-clips bench-tracks bench-diarize bench-cascade bench-curate bench-engines bench-listing bench-report bench-scores bench-stream bench-update bench-vad engines lock clean

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(CORE): $(BIN)/pip pyproject.toml
	$(BIN)/$(INSTALL) .
	touch $@

$(EVAL): $(BIN)/pip pyproject.toml
	$(BIN)/$(INSTALL) '.[eval]'
	touch $@ $(CORE)

$(TEST): $(BIN)/pip pyproject.toml requirements.lock
	$(BIN)/$(INSTALL) '.[test]'
	touch $@ $(CORE)

$(DEV): $(BIN)/pip pyproject.toml requirements.lock
	$(BIN)/$(INSTALL) '.[dev]'
	touch $@ $(CORE) $(TEST)

dev: $(DEV)

# they lie in the cache of the user, and are fetched once
models: $(CORE)
	$(BIN)/beam-curator models install cascade silero-vad dnsmos

# without a network: the round table alone, with --vad energy and no DNSMOS
demo: $(EVAL)
	$(BIN)/beam-curator models install cascade silero-vad dnsmos || true
	$(BIN)/beam-curator diarize examples/round_table.opus --model-name demo --output demo_output/turns --bandwidth --embeddings --overwrite
	$(BIN)/beam-curator separate demo_output/turns --output demo_output/tracks --overwrite
	$(BIN)/beam-curator windows demo_output/turns --output demo_output/windows $(ROUND_TABLE) --overwrite
	$(BIN)/beam-curator extract demo_output/windows --output demo_output/clips --output-format flac --overwrite
	$(BIN)/beam-curator export demo_output/turns --output demo_output/export --what segments --generate-previews \
		--generate-embeddings --embeddings demo_output/turns/turn-embeddings-00000-of-00001.parquet --overwrite
	@if $(BIN)/beam-curator models install silero-vad dnsmos > /dev/null 2>&1; then set -x; \
		$(BIN)/beam-curator $(CURATE) --dnsmos --dnsmos-hop 9 --dnsmos-ovrl-threshold 3 --annotate dnsmos_ovrl; \
		else set -x; $(BIN)/beam-curator $(CURATE) --vad energy; fi
	@for set in turns turns/rttm tracks/tracks windows clips export curated; do \
		echo "demo_output/$$set:"; ls demo_output/$$set | sed 's/^/  /'; done
	$(BIN)/python examples/human_speech/conversation.py demo_output/people
	@if [ -f demo_output/people/sample.wav ]; then set -x; \
		$(BIN)/beam-curator diarize demo_output/people/sample.wav --output demo_output/people_turns --overwrite && \
		$(BIN)/beam-curator score demo_output/people/sample.rttm demo_output/people_turns --collar 0.25; fi
	$(BIN)/beam-curator report demo_output/turns demo_output/tracks demo_output/windows demo_output/clips --output demo_output/report --title "round table" --overwrite

demo-live: $(EVAL)
	rm -rf $(LIVE)
	mkdir -p $(LIVE)/chunks $(LIVE)/reference
	@for n in 1 2 3 4 5 6 7 8; do \
		sed "s/round_table/round_table-$$n/" examples/round_table.rttm > $(LIVE)/reference/round_table-$$n.rttm; done
	$(BIN)/beam-curator publish examples/round_table.opus --streams 8 --to $(LIVE)/chunks --real-time --speed 5 > $(LIVE)/publish.log & \
		$(BIN)/beam-curator stream $(LIVE)/chunks --output $(LIVE)/out --until-idle 3 > $(LIVE)/stream.log 2>&1 & \
		$(BIN)/beam-curator listen $(LIVE)/out --until-idle 8; wait; cat $(LIVE)/publish.log $(LIVE)/stream.log
	$(BIN)/beam-curator score $(LIVE)/reference $(LIVE)/out/rttm

test: $(DEV) models
	$(BIN)/python tools/run_tests.py

test-all: export BEAM_CURATOR_SLOW := 1
test-all: test

AXE_VERSION := 4.14.1
AXE_SHA256 := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
AXE := $(VENV)/.axe

test-browser: $(TEST)
	$(BIN)/pip install --quiet --disable-pip-version-check 'playwright>=1.45'
	mkdir -p $(AXE)
	cd $(AXE) && npm pack --silent axe-core@$(AXE_VERSION) && echo "$(AXE_SHA256)  axe-core-$(AXE_VERSION).tgz" | sha256sum --check --quiet
	tar -xzf $(AXE)/axe-core-$(AXE_VERSION).tgz -C $(AXE)
	BEAM_CURATOR_SLOW=1 BEAM_CURATOR_AXE=$(AXE)/package/axe.min.js $(BIN)/python -m pytest tests/runners/test_report_in_browser.py

test-core:
	$(MAKE) VENV=.venv-core .venv-core/.test-installed
	.venv-core/bin/python -m pytest -n auto --dist worksteal --durations 10 --durations-min 1 \
		--ignore tests/engines --ignore tests/faults --ignore tests/templates

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: $(DEV)
	$(BIN)/python benchmarks/bench_windows.py

bench-clips: $(DEV)
	$(BIN)/python benchmarks/bench_clips.py

bench-tracks: $(DEV)
	$(BIN)/python benchmarks/bench_tracks.py

bench-diarize: $(DEV)
	$(BIN)/python benchmarks/bench_diarize.py

bench-cascade: $(DEV)
	$(BIN)/python benchmarks/bench_cascade.py

bench-curate: $(DEV) models
	$(BIN)/python benchmarks/bench_curate.py

bench-engines: $(DEV)
	$(BIN)/python benchmarks/bench_engines.py

bench-stream: $(DEV)
	$(BIN)/python benchmarks/bench_stream.py

bench-report: $(TEST)
	$(BIN)/python benchmarks/bench_report.py

bench-listing: $(DEV)
	$(BIN)/python benchmarks/bench_listing.py

bench-update: $(DEV)
	$(BIN)/python benchmarks/bench_update.py

bench-vad: $(DEV) models
	$(BIN)/pip install --quiet --no-deps --target $(VENV)/silero silero-vad==6.2.3
	$(BIN)/python benchmarks/bench_vad.py --peer $(VENV)/silero

bench-scores: $(DEV) models
	$(BIN)/python benchmarks/bench_scores.py

engines:
	templates/install_engines $(BEAM_VERSION)

lock: $(DEV)
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:
	rm -rf .venv .venv-core demo_output examples/audio
