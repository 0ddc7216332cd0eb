"""Adapters to neighbouring libraries, a small module for each."""
