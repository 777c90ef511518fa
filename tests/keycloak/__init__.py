"""A real Keycloak: the steps of docs/keycloak.md, without containers. Run by scripts/keycloak, and not by pytest."""
