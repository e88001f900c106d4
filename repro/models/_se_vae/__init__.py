"""Parts of SE-VAE and of EVCF, the model below it."""
