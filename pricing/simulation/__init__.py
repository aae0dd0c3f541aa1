"""Markets that never were: worlds scaled up from a small one, for measuring and for practice."""
