# Every command that people and CI use. `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := $(shell find rust -name '*.rs' -o -name 'Cargo.toml') Cargo.toml Cargo.lock pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(BIN)/maturin:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip 'maturin>=1.9.4,<2'

# The wheel, in release mode, with the `cli` extra: what a user installs.
$(VENV)/.run: $(BIN)/maturin $(NATIVE)
	$(BIN)/maturin develop --release --quiet --extras cli
	@touch $@

# Everything that the tests and the linters need on top.
$(VENV)/.dev: $(BIN)/maturin $(NATIVE)
	$(BIN)/pip install --quiet --group test --group lint
	$(BIN)/maturin develop --release --quiet --extras cli,plot,ray,rl
	@touch $@ $(VENV)/.run

.PHONY: run
run: $(VENV)/.run ## Replay an hour of a real LLM service through budgets and rate limits
	@$(BIN)/safeguards replay

.PHONY: demo
demo: $(VENV)/.run ## 50 threads against a budget of 1.00, beside a hand-written check-then-charge
	@$(BIN)/safeguards demo

.PHONY: paper
paper: $(VENV)/.bench ## Repeat the evaluation of the paper on allocation; writes safeguards-paper.html
	@$(BIN)/safeguards paper

.PHONY: tables
tables: $(VENV)/.run ## Measure the tables of docs/allocation.md anew
	$(BIN)/python benches/allocation_tables.py

.PHONY: test
test: lint test-rust loom free-threaded test-python ## Lint, then every test

.PHONY: test-rust
test-rust: loom ## Tests of the Rust core
	cargo test --quiet --package safeguards-core

.PHONY: loom
loom: ## Model checks of the locks: the orders in which threads can meet
	RUSTFLAGS="--cfg loom" cargo test --quiet --release --package safeguards-core --test loom --target-dir target/loom

.PHONY: free-threaded
free-threaded: ## Check that the binding compiles for a free-threaded CPython, which need not be here
	PYO3_CONFIG_FILE=$(CURDIR)/rust/free-threaded.cfg cargo check --quiet --package safeguards-py \
		--no-default-features --target-dir target/free-threaded

.PHONY: test-python
test-python: $(VENV)/.dev ## Tests of the Python package, README and docs
	$(BIN)/pytest

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

.PHONY: torture
torture: $(VENV)/.dev ## Every public call with every nasty value
	SAFEGUARDS_TORTURE=1 $(BIN)/pytest tests/seam/test_nasty_values.py

.PHONY: bench
bench: $(VENV)/.bench $(RIVALS)/.done ## Measure ours, a hand-written ledger and the rivals in one run
	$(BIN)/python benches/bench.py

.PHONY: bench-rivals
bench-rivals: $(VENV)/.bench $(RIVALS)/.done ## Measure the libraries people install, nothing else
	$(BIN)/python benches/bench.py Rivals

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
	$(BIN)/pip install --quiet --group forecast && $(BIN)/python benches/forecasting.py --rivals --pictures

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
	rm -rf target $(VENV) .venv-* .hypothesis .pytest_cache .mypy_cache .ruff_cache
