# `make book` and `make test` need Python 3.11 or newer and nothing else; everything beyond these five is `dha`.
PYTHON ?= python3
BIN := .venv/bin
# An environment of another Python is cleared before it is made anew: two in one folder do not work.
WHICH := import sys; print(sys.base_prefix, sys.version)

.PHONY: book pdf test check clean
book: .venv/.ready ; @$(BIN)/dha book
pdf: .venv/.ready ; @$(BIN)/dha book --pdf
test: .venv/.ready ; @$(BIN)/dha fetch weights && $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
check: .venv/.ready ; @$(BIN)/dha check
clean: ; rm -rf build book/executed .pytest_cache .ruff_cache

.venv/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("dha: Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "Installing into .venv (about 2.5 GB, some minutes; once) ..."
	$(PYTHON) -m venv $$([ "$$($(BIN)/python -c '$(WHICH)' 2>&1)" = "$$($(PYTHON) -c '$(WHICH)')" ] || echo --clear) .venv
	$(BIN)/python -m pip install --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
