"""Servers of other frameworks that answer what echo_service.py answers, to be measured beside Linkd."""
