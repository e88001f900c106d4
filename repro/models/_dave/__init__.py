"""Parts of DAVE."""
