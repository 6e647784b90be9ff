PYTHON ?= python3
VENV ?= .venv
MODEL ?= demo
HOST ?= 127.0.0.1
PORT ?= 8000
ALIASES ?= meta/llama-3.1-70b-instruct llama3_1_8b_instruct \
	meta/llama-3.1-8b-instruct meta-llama/Llama-3.1-8B-Instruct
ARGS ?=
JOBS ?= 3
SECONDS ?= 1800

SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(SCRIPTS)
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
# Other people's clients, apart from the server: what they depend on does not touch it.
CLIENTS := .venv-clients
INSTALLED_CLIENTS := $(CLIENTS)/.installed
AUDIT := .venv-audit
ADVISORIES ?= https://api.osv.dev/v1/query
INSTALLED_NODE := $(CLIENTS)/node/.installed

.DEFAULT_GOAL := help
.PHONY: help run test test-abuse soak test-clients check audit format bench clean

help:
	@echo "make run     install into $(VENV) and serve the demo model on $(HOST):$(PORT)"
	@echo "make test    install with the developer tools and run all tests"
	@echo "make test-abuse"
	@echo "             attack a server, also with what takes long"
	@echo "make soak    half an hour of mixed load; SECONDS=60 for a look"
	@echo "make check   formatting, lint, types, and make audit"
	@echo "make audit   look up known faults of the dependencies, if the network allows"
	@echo "make format  format the code and sort its imports"
	@echo "make bench   how fast this machine is"
	@echo "make test-clients"
	@echo "             install other people's clients into $(CLIENTS) and test with them"
	@echo "make clean   remove caches and build output; $(VENV), $(CLIENTS) and $(AUDIT) stay"
	@echo
	@echo "Variables: PYTHON=$(PYTHON) VENV=$(VENV) MODEL=$(MODEL) HOST=$(HOST) PORT=$(PORT)"
	@echo "ARGS is handed on to edge-llama or pytest."

run: $(INSTALLED)
	@exec $(BIN)/edge-llama serve "$(MODEL)" --host $(HOST) --port $(PORT) \
		$(addprefix --alias ,$(ALIASES)) $(ARGS)

# The tests start hundreds of processes, each of which would compile the package again.
test test-abuse: export PYTHONDONTWRITEBYTECODE =

test: $(INSTALLED_DEV)
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-abuse: $(INSTALLED_DEV)
	$(BIN)/python -m pytest tests/abuse -m "" $(ARGS)

soak: $(INSTALLED_DEV)
	$(BIN)/python -m tests.abuse.soak $(SECONDS)

# Warnings of other people's code are not errors.
test-clients: $(INSTALLED_DEV) $(INSTALLED_NODE) $(INSTALLED_CLIENTS)
	EDGE_LLAMA_PYTHON=$(BIN)/python $(CLIENTS)/$(SCRIPTS)/python -m pytest -W default \
		tests/clients $(ARGS)

check: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory audit

audit: $(INSTALLED_DEV)
	@if test -x $(AUDIT)/$(SCRIPTS)/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
		$(AUDIT)/$(SCRIPTS)/python -m pip install --quiet --retries 1 pip-audit; }; \
	then \
		$(AUDIT)/$(SCRIPTS)/python .ci/audit.py $(ADVISORIES) \
			"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"; \
	else \
		echo "Without pip-audit, known faults of the dependencies were not looked up."; \
	fi

format: $(INSTALLED_DEV)
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

bench: $(INSTALLED)
	@$(BIN)/edge-llama bench $(ARGS)

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . \( -path ./$(VENV) -o -path ./$(CLIENTS) -o -path ./$(AUDIT) \) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

$(INSTALLED): pyproject.toml
	@echo "Installing. The first time, this compiles llama.cpp: about ten minutes on two cores."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable .
	@touch $@

$(INSTALLED_DEV): pyproject.toml
	@echo "Installing. The first time, this compiles llama.cpp: about ten minutes on two cores."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --editable '.[dev]'
	@touch $(INSTALLED) $@

$(INSTALLED_CLIENTS): tests/clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/$(SCRIPTS)/python -m pip install uv # pip takes ten minutes to find versions that fit
	$(CLIENTS)/$(SCRIPTS)/uv pip install --python $(CLIENTS) --requirement $<
	@touch $@

$(INSTALLED_NODE): tests/clients/node/package.json
	mkdir -p $(@D)
	cp $< $(@D)
	if command -v npm; then npm install --prefix $(@D) --no-audit --no-fund; fi
	@touch $@
