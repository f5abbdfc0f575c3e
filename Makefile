# Each target makes its own virtual environment from nothing but Python 3.11 or newer.

PYTHON ?= python3.11
DEMO := .venv-demo
TEST := .venv-test

.PHONY: demo test lint benchmarks gallery figures clean

demo: ## draw the three figures of layer 3, all heads, from the sample data (no torch needed)
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet .
	$(DEMO)/bin/igaviz render sample_data/healthy --layer 3 --head all --force
	@echo "next: $(DEMO)/bin/igaviz diagnose sample_data/diagonal_collapse"

test: $(TEST)/installed ## lint, type check, tests
	$(TEST)/bin/ruff check igaviz tests
	$(TEST)/bin/ruff format --check igaviz tests
	$(TEST)/bin/mypy
	$(TEST)/bin/python -m pytest

$(TEST)/installed: pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet torch==2.13.0
	$(TEST)/bin/pip install --quiet --editable '.[record,dev]'
	touch $@

FIGURES := docs/images/figures
DRAW = $(TEST)/bin/igaviz render sample_data/healthy --dpi 72 --force --out $(FIGURES)/new
figures: $(TEST)/installed ## draw the pictures of docs/figures.md anew, from the sample data
	mkdir -p $(FIGURES)
	$(DRAW) --figure heads,trajectory
	$(DRAW) --layer 3 --head 5 --figure effect,terms,separation,contacts
	$(DRAW) --layer 0 --figure grid
	mv $(FIGURES)/new/trajectory.png $(FIGURES)
	for name in grid_b0 effect_b0_h5 terms_b0_h5 separation_b0_h5 contacts_b0_h5; do \
		mv $(FIGURES)/new/step_000001500/layer*_$$name.png $(FIGURES)/$${name%%_*}.png; done
	mv $(FIGURES)/new/step_000001500/heads_type.png $(FIGURES)/heads.png
	rm -r $(FIGURES)/new

benchmarks: $(TEST)/installed ## measure speed; no test asserts a time
	$(TEST)/bin/python -m pytest tests/benchmarks --benchmark-only

gallery: $(TEST)/installed ## draw the pictures of docs/gallery.md anew
	$(TEST)/bin/python tests/gallery.py

clean:
	rm -rf $(DEMO) $(TEST) attention_vis
