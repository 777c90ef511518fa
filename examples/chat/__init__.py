"""A complete service on Linkd: rooms, messages, presence, and a web page. Begin with service.py."""
