"""Small services that the integration tests run behind a real gateway."""
