"""What operators see: metrics, on an address of their own."""
