"""Real trainings whose sickness is known by its cause, and what the checks say of them."""
