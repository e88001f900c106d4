"""Reproduce the result tables of five VAE-recommender papers, cell by cell."""

__version__ = "0.2.0"
