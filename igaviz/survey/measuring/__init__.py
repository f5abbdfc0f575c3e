"""Maps and lines of scalars as measurements, layer by layer."""
