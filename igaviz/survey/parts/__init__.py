"""Shares of the work, for machines that know nothing of each other."""
