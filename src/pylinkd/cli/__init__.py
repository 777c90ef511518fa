"""The command line: ``linkd serve | run | dev | token``."""
