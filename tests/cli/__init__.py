"""Tests of the command line's parts; the commands themselves run in tests/integration."""
