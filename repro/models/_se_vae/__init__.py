"""Parts of SE-VAE."""
