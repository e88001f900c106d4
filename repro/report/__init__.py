"""Results and descriptions as text and files, for people."""
