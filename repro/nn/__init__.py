"""Torch pieces of models, shared or standing by themselves: batches, losses, layers, scoring."""
