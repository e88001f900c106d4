"""A paper's claims, each judged on the printed numbers and on our runs."""
