"""Questions of speed, each with a scenario that answers it: ``scripts/bench live``."""
