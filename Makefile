# The menu. `make` lists it. Every target is a line or two of cargo, npm or a script; CI runs the same ones (.ci/run).
SHELL := bash
SCRIPTS := .ci/run bench/profile bench/ready bench/run fuzz/run tools/go tools/kafka tools/setup tools/tour tests/clients/run tests/clients/with-tidegate tests/clients/java/registry tests/sdk/run tests/avro-compat/run tests/openapi/run $(wildcard tests/clients/*.sh)

.PHONY: help setup check format lint test sim torture bench fuzz demo docs

help: ## this menu
	@sed -n -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

setup: ## install by name what is missing, and say so
	tools/setup

check: format ## format, clippy and the fast tests: every few minutes
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo test --workspace --lib --bins --locked --quiet

format: ## is everything formatted?
	cargo fmt --all --check
	test -z "$$("$$(tools/go env GOROOT)/bin/gofmt" -l tests/clients/go examples/sdk/go | tee /dev/stderr)"

lint: format ## every lint that CI runs
	cargo clippy --workspace --all-targets --locked -- -D warnings
	tools/setup lint && shellcheck -x -P tests/clients -e SC2317 $(SCRIPTS) && target/tools/bin/typos
	target/tools/bin/cargo-deny --locked --workspace check bans licenses sources

test: ## all tests: Rust, the demo's input, and unmodified Kafka clients and CloudEvents SDKs against the binary
	tools/setup build demo evolution clients sdk exchange openapi
	cargo test --workspace --locked
	cargo test -p tidegate-contract -p tidegate-gateway --locked --test it -- --ignored avro_java evolution
	cargo test -p tidegate --locked --test it -- --ignored a_real_step lint_has_nothing
	npm test --silent --prefix examples/github-webhooks
	cargo build --locked && tests/clients/with-tidegate tests/clients/run
	tests/sdk/run
	tests/clients/with-tidegate tests/openapi/run
	npm test --silent --prefix tests/exchange

sim: ## seeded faults in the embedded log; SEED=7 replays one, SEEDS=1000 tries as many
	$(if $(SEED),TIDEGATE_SIM_SEED=$(SEED)) $(if $(SEEDS),TIDEGATE_SIM_SEEDS=$(SEEDS)) cargo test --release --locked -p tidegate-broker --test it -- sim::every_seed --nocapture

torture: ## what takes too long for `make test`
	TIDEGATE_SIM_SEEDS=5000 TIDEGATE_KILLS=50 TIDEGATE_TORTURE=1 cargo test --release --locked --workspace -- --include-ignored
	cargo run --release --locked -p tidegate-broker --example claims_scale

bench: ## measure, the floor first; results in bench/results
	bench/run

fuzz: ## a short round of every fuzz target
	fuzz/run

demo: ## the main job on real input: 329 GitHub webhooks; ends by itself
	tools/setup build demo && node examples/github-webhooks/prepare.mjs
	cargo run --quiet --release --locked --bin tidegate -- demo --input examples/github-webhooks/build --reader kcat

docs: ## the crates' documentation; a broken link is an error
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
