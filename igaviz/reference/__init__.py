"""A reference layer that taps itself, a small model of it, and its training runs."""
