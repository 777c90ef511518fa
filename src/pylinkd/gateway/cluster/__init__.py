"""Several gateways as one: what each says to the others, and how."""
