"""What was found as text, JSON, CSV, XML and pages; nothing is computed here."""
