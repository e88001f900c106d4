"""Reproduce the result tables of five VAE-recommender papers, cell by cell."""

__version__ = "0.1.0"
