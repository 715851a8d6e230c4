# Everything one does with Hayloft. `make run` and `make test` need rustup's Rust and nothing else.
.PHONY: help run test check bench fuzz doc clean setup

# RocksDB takes long to build, so it is built once per person and not once per clone.
XDG_CACHE_HOME ?= $(HOME)/.cache
export CARGO_TARGET_DIR ?= $(XDG_CACHE_HOME)/hayloft/target
ARGS ?=
TARGET ?= packet
BENCH ?= compare
NAME ?=

help:            ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: setup       ## run all servers in one process, data in ./data (ARGS="--api-listen :8081")
	cargo run --release -- serve $(ARGS)

test: export SETUP_FOR = tests
test: setup      ## run all tests
	cargo test --release --workspace $(ARGS)

check: setup     ## formatting, lints, documentation
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --document-private-items

bench: setup     ## compare with FastDFS and nginx (NAME=upload ROUNDS=5 SECONDS=1), or BENCH=api, memory, sliced, cluster
	cargo bench --profile release --bench $(BENCH) -- $(if $(NAME),"$(NAME)") $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

fuzz: setup      ## fuzz one target (TARGET=packet SECONDS=60); needs cargo-fuzz and a nightly Rust
	cargo +nightly fuzz run $(TARGET) -- -max_total_time=$(or $(SECONDS),60)

doc: setup       ## build the code's documentation
	cargo doc --release --workspace --no-deps

clean:           ## remove what was built; ./data stays
	cargo clean

setup:
	@deploy/setup
