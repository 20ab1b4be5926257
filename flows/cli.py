"""The `verdict` command."""
