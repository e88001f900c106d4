"""Building blocks of models: batches, layers, losses, schedules, scoring."""
