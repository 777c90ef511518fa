"""Real servers for tests, one module per server."""
