"""linkd, the gateway: edge → core → routing → service, and back. server.py shows how the parts are put together."""
