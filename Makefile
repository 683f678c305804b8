# Everything that sets up, builds, runs and tests. `make demo SEED=7` draws other birds and learns them anew.
SEED ?= 0

.PHONY: libtorch build demo test lint
libtorch:
	python3 pipelines/nets/setup/libtorch.py .libtorch

build: libtorch
	cargo build --release

demo: build
	target/release/mlsm run --config demo --set seed=$(SEED)

test: libtorch
	cargo test --release --workspace

lint: libtorch
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
