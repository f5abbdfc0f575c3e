"""Measurements and indexes that are known already, and how they are written."""
