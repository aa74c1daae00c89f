"""Builds the images of the connectors, and writes the pages that describe them."""
