"""Recorders in the loops of training frameworks: one file each, imported only by its users."""
