# Every target sets itself up: all it takes is make, Python 3.11 or newer, and a package index that pip can reach.
#   make test ARGS="-k worker"     make demo FOLDER=/some/folder     make test PYTHON=python3.12

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3)
# An environment that was copied or moved still points to its old folder, so it is made anew; one by another hand is kept.
USABLE := $(BIN)/python -c '' 2>/dev/null && [ -x $(BIN)/pip ] \
	&& { [ ! -e $(STAMP) ] || [ "$$(cat $(STAMP))" = "$$(pwd -P)" ]; } \
	&& { [ -z "$(PYTHON)" ] || [ "$$($(BIN)/python -V)" = "$$("$(PYTHON)" -V 2>/dev/null)" ]; }

.PHONY: help demo test soak lint bench build clean anew

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## run the demonstration: a folder's files as tasks under a supervisor, one worker killed on the way
	@$(BIN)/taskqueue demo $(if $(FOLDER),"$(FOLDER)")

test: $(STAMP) ## run the tests
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

soak: $(STAMP) ## run the tests that take minutes
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m soak $(ARGS)

lint: $(STAMP) ## check format, style, types, floors and known holes
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/bandit --quiet --configfile pyproject.toml --recursive taskqueue supervisor
	@$(BIN)/python -m tests.support.audit

bench: $(STAMP) ## measure how fast it is, beside raw SQL and other task queues (ARGS="--quick", ARGS="--help")
	@$(BIN)/python -m tests.bench $(ARGS)

pictures: $(STAMP) ## take the README's pictures of the dashboard anew (needs chromium)
	@$(BIN)/python -m tests.support.pictures

build: $(STAMP) ## build the wheel and the source archive into dist/
	@$(BIN)/python -m build --no-isolation

clean: ## remove what these targets made
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find taskqueue supervisor tests -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml $(shell $(USABLE) || echo anew)
	@$(USABLE) || { \
		for python in $(PYTHONS) ""; do \
			"$$python" -c 'import ensurepip, venv, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
			version=$$("$$python" -V 2>/dev/null) && found="$${found:+$$found, }$$version"; \
		done; \
		[ -n "$$python" ] || { echo "make: needs Python 3.11 or newer with its venv module; found $${found:-none};" \
			"install one (Debian, Ubuntu: apt install python3 python3-venv)" \
			"or name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
		echo "setting up $(VENV) with $$("$$python" -V) (once, about a minute)"; \
		"$$python" -m venv --clear $(VENV); \
	}
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@pwd -P > $@
