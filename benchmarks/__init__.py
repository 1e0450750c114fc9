"""What was promised in numbers, measured: one command each, a table for people and JSON for machines."""
