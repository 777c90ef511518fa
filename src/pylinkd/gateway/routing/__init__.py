"""What lies between clients and services."""
