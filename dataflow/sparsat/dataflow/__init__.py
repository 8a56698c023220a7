"""From models to programs: capture, mapping, scheduling."""
