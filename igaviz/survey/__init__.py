"""What each verb does: passes over the maps of dumps, on workers, and what comes of them."""
