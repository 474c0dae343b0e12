# Everything here does its own set-up. On Debian 12 with Rust, Python 3.11 and make nothing else is needed.
.DEFAULT_GOAL := help
.PHONY: help demo test setup setup-tests

VENV := target/lab/venv/bin
# Where Cargo puts programs.
BUILT := $(or $(CARGO_TARGET_DIR),target)/debug

help:
	@echo "make demo   a PostgreSQL cluster on this machine loses its writer and gets a new one;"
	@echo "            10 minutes the first time, a minute later"
	@echo "make test   all tests there are"
	@echo
	@echo "cargo test                       the fast tests, in seconds"
	@echo "cargo run -p lab -- --help       the lab: up, down, status, failover, backup, scenario, wake"

setup:
	@bash tests/lab/setup.sh

setup-tests:
	@bash tests/lab/setup.sh --tests

# All programs of the workspace at once, as the lab builds them: its own build then has nothing left to do.
demo: setup
	@cargo build --workspace --bins
	@$(BUILT)/lab failover --cluster orders --fault stop

test: setup-tests
	cargo test --workspace
	shellcheck .ci/run infra/nodes/*.sh infra/rds-ca/*.sh tests/lab/*.sh tests/nodes/*.sh
	$(VENV)/cfn-lint infra/template.yaml tests/golden/*.json
	$(VENV)/python -m unittest discover --start-directory tests/lab/aws
	@for test in members base own_root patroni backups patroni-backups dr monitoring pooler-tier; do \
		echo "bash tests/nodes/$$test.sh"; bash tests/nodes/$$test.sh || exit 1; done
