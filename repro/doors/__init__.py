"""Splits out, rankings in: what people with a model in another framework need."""
