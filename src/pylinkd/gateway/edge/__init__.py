"""HTTP and WebSocket termination."""
