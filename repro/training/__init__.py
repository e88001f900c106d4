"""From a model and a split to a ranking of the epoch that counts."""
