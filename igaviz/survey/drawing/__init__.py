"""Pictures of what is chosen: which, of what, where they go, and their drawing."""
