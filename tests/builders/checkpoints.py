"""Checkpoints of no particular content."""

from repro.training.checkpoints import Place

PLACE = Place(loop=0, epoch=3, n_epochs=10)
