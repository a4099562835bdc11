"""The checkout backend."""
