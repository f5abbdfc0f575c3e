"""The rows of a summary, their order, and how they went over the steps."""
