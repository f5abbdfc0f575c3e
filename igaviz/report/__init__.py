"""What was found as text, JSON, CSV, XML and pages; nothing is computed here.

rich is imported by what prints for people, when it does: programs, which ask for the rest, would
wait for it.
"""
