"""The revisions, oldest first. Each is frozen once released and imports nothing that moves."""
