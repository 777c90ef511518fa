"""Documents about a service, made from what it has registered; the service need not run."""
