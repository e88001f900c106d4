"""Torch pieces that three models or more share: batches, losses, layers, scoring."""
