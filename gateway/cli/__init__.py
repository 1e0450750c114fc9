"""What can one do from a terminal? The `switchpoint` program: program.py; each command has a file of its own."""
