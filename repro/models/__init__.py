"""Models: one module each, ending in ``MODEL = <class>``; the file reads as the paper does."""
