"""Evaluation protocols: one module each, ending in ``PROTOCOL = <class>``."""
