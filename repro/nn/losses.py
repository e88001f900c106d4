"""Losses that several models share. Shape letters: B users, I items, D latent size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from repro.nn.batches import Rows


def own_logits(logits: Tensor, x: Rows) -> Tensor:
    """Return the sum of each user's logits (B, I) over the items that the user touched, (B,)."""
    own = torch.zeros(len(logits), device=logits.device, dtype=logits.dtype)
    return own.index_add(0, x.row, logits[x.row, x.item])


def bernoulli_nll(logits: Tensor, x: Rows) -> Tensor:
    """Return each user's negative Bernoulli log-likelihood, summed over all items; shape (B,).

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        The decoder's output.
    x : Rows
        What the users touched.

    Notes
    -----
    Liang et al. 2018, Eq. 4, unweighted: with binary x, the binary cross-entropy of an item is
    softplus(logit) - x * logit, so x is never dense.
    """
    return softplus(logits).sum(dim=1) - own_logits(logits, x)


def multinomial_nll(logits: Tensor, x: Rows) -> Tensor:
    """Return each user's negative multinomial log-likelihood, shape (B,).

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        The decoder's output.
    x : Rows
        What the users touched.

    Notes
    -----
    Liang et al. 2018, Eq. 2: -sum_i x_i log softmax(logits)_i, summed over the user's items. With
    binary x this is n_u * logsumexp(logits_u) - sum of the user's logits, so x is never dense.
    """
    return x.count * logits.logsumexp(dim=1) - own_logits(logits, x)


def gaussian_kl(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(0, I)) of each row, shape (B,).

    Notes
    -----
    Kingma & Welling 2014, Appendix B.
    """
    return 0.5 * (logvar.exp() + mean.square() - 1.0 - logvar).sum(dim=1)
