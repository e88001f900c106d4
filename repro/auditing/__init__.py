"""Printed numbers tested on their own: without records, data, models or torch."""
