"""Prices that a program outside the services sends to rooms."""
