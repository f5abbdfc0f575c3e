"""Tasks over workers, here or on a cluster, and what comes back from them."""
