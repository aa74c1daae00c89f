"""A package with a name of its own: its modules are not taken for those of other tests."""
