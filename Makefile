# Everything that sets up, builds and tests; `make demo` is the main job.
.PHONY: libtorch build test
libtorch:
	python3 pipelines/nets/setup/libtorch.py .libtorch

build: libtorch
	cargo build --release

test: libtorch
	cargo test --release $(PACKAGES)

PACKAGES = -p mlsm-store -p mlsm-data -p mlsm-nets -p mlsm-engine -p mlsm-pipelines
