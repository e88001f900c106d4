"""Losses that several models share.

Shape letters: B users, I items, D latent size, H units, m interactions of a batch, n outputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding, softplus

from repro.nn.batches import Rows
from repro.nn.layers import sparse_product

HELD_LOGITS, FEWEST_ROWS = 3_000_000, 128
"""Logits that `linear_reconstruction` holds at a time, and the fewest rows of them."""
PIECE = {"cpu": 2**18, "cuda": 2**26}
"""Logits that `softplus_sum` holds at a time: 1 MiB, still in a CPU's cache when read again, or 256
MiB, so that a GPU does not wait for kernel launches."""


def own_logits(logits: Tensor, x: Rows) -> Tensor:
    """Return the sum of each user's logits over the user's items, shape (B,), from (B, I)."""
    own = torch.zeros(len(logits), device=logits.device, dtype=logits.dtype)
    return own.index_add(0, x.row, logits[x.row, x.item])


def bernoulli_nll(logits: Tensor, x: Rows, least: float = 0.0) -> Tensor:
    """Return each user's negative Bernoulli log-likelihood, summed over all items; shape (B,).

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        The decoder's output.
    x : Rows
        The users' interactions.
    least : float
        If not 0, probabilities are clipped to [least, 1 - least]; no gradient flows beyond.

    Notes
    -----
    Liang et al. 2018, Eq. 4, unweighted: with binary x, the binary cross-entropy of an item is
    softplus(logit) - x * logit, so x is never dense.
    """
    if least:
        bound = math.log1p(-least) - math.log(least)
        logits = logits.clamp(-bound, bound)
    return softplus(logits).sum(dim=1) - own_logits(logits, x)


def multinomial_nll(logits: Tensor, x: Rows) -> Tensor:
    """Return each user's negative multinomial log-likelihood, shape (B,).

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        The decoder's output.
    x : Rows
        The users' interactions.

    Notes
    -----
    Liang et al. 2018, Eq. 2: -sum_i x_i log softmax(logits)_i, summed over the user's items. With
    binary x this is n_u * logsumexp(logits_u) - sum of the user's logits, so x is never dense.
    """
    return x.count * logits.logsumexp(dim=1) - own_logits(logits, x)


def linear_multinomial_nll(
    hidden: Tensor, weight: Tensor, bias: Tensor, x: Rows, share: Tensor | None = None
) -> Tensor:
    """Return the mean over users of `multinomial_nll` after a linear layer, a scalar.

    Loss and gradients are computed in one pass over the logits, which are then freed: several such
    layers, as of experts, never hold more than one matrix of logits.

    Parameters
    ----------
    hidden : float tensor, shape (B, H)
        Input of the layer.
    weight, bias : float tensor, shape (I, H) and (I,)
        Of the layer; gradients that are not needed are not computed.
    x : Rows
        The users' interactions.
    share : float tensor, shape (m,), optional
        How much each interaction counts; None: 1 each.

    Notes
    -----
    -1/B sum_(u, i) share_ui log softmax(weight hidden_u + bias)_i. Besides the three matrix
    products that any form needs, it computes the softmax and scales it. Unlike
    ``multinomial_nll(linear(hidden), x).mean()`` it has no second derivative.
    """
    if share is None:
        share = torch.ones(len(x.item), device=hidden.device, dtype=hidden.dtype)
    apply: Callable[..., Tensor] = _LinearMultinomial.apply
    return apply(hidden, weight, bias, share, x)


Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor]


class _LinearMultinomial(torch.autograd.Function):
    """The loss; its gradients are computed with it and kept for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, share: Tensor, x: Rows
    ) -> Tensor:
        ctx.save_for_backward(hidden, weight, bias, share)
        ctx.x = x
        loss, ctx.gradients = _loss_and_gradients(
            hidden, weight, bias, share, x, ctx.needs_input_grad
        )
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        # scaled in place, so they can be used only once; a second pass computes them again
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            hidden, weight, bias, share = ctx.saved_tensors
            needed = ctx.needs_input_grad
            _, gradients = _loss_and_gradients(hidden, weight, bias, share, ctx.x, needed)
        return *(part if part is None else part.mul_(above[0]) for part in gradients), None


def _loss_and_gradients(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    share: Tensor,
    x: Rows,
    needed: tuple[bool, ...],
) -> tuple[Tensor, Gradients]:
    """Return the loss, and those of its gradients by the first four arguments that are needed."""
    n_users = len(hidden)
    # one row per item, (I, B): the tall product is faster on CPUs
    logits = torch.addmm(bias[:, None], weight, hidden.t())
    logits.sub_(logits.amax(dim=0))
    own = logits[x.item, x.row]  # (m,)
    pi = logits.exp_()
    mass = pi.sum(dim=0)  # (B,)
    own = (own - mass.log()[x.row]) / n_users
    loss = -(share * own).sum()
    total = torch.zeros(n_users, device=hidden.device, dtype=hidden.dtype)
    total = total.index_add(0, x.row, share) / n_users
    by_logit = pi.mul_(total / mass)
    by_logit.index_put_((x.item, x.row), -share / n_users, accumulate=True)
    of_hidden = by_logit.t() @ weight if needed[0] else None
    of_weight = by_logit @ hidden if needed[1] else None
    of_bias = by_logit.sum(dim=1) if needed[2] else None
    return loss, (of_hidden, of_weight, of_bias, -own)


class _SoftplusSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        total, dh = h.new_zeros(()), torch.zeros_like(h)
        dw, db = torch.empty_like(weight), torch.empty_like(bias)
        size = max(1, PIECE.get(h.device.type, 2**18) // len(h))
        for first in range(0, len(bias), size):
            at = slice(first, first + size)
            logits = torch.addmm(bias[at], h, weight[at].T)  # (B, size)
            total += softplus(logits).sum()
            slope = logits.sigmoid_()
            dh.addmm_(slope, weight[at])
            torch.mm(slope.T, h, out=dw[at])
            torch.sum(slope, 0, out=db[at])
        ctx.save_for_backward(dh, dw, db)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(grad * of_one for of_one in ctx.saved_tensors)


def softplus_sum(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the sum of softplus(h W' + b), a scalar; its gradient is computed along with it.

    It works in pieces of `PIECE` logits, so that B x n of them never exist at once: the memory is
    that of another h and W.

    Parameters
    ----------
    h : float tensor, shape (B, H)
        Hidden units.
    weight : float tensor, shape (n, H)
        W.
    bias : float tensor, shape (n,)
        b.
    """
    return _SoftplusSum.apply(h, weight, bias)  # type: ignore[no-untyped-call]


def linear_bernoulli_nll(h: Tensor, weight: Tensor, bias: Tensor, x: Rows) -> Tensor:
    """Return the cross-entropy of 0/1 rows and logits ``h @ weight.T + bias``, summed.

    Parameters
    ----------
    h : float tensor, shape (B, H)
        The last hidden layer.
    weight, bias : float tensor, shapes (n, H) and (n,)
        The output layer.
    x : Rows
        B rows over n columns.

    Notes
    -----
    The sum of softplus(logit) over all cells, minus the logits at the ones. The latter are sums of
    weights, as in a sparse first layer, so x is never dense.
    """
    ones = (h * sparse_product(x, weight)).sum() + embedding(x.item, bias[:, None]).sum()
    return softplus_sum(h, weight, bias) - ones


def linear_reconstruction(
    h: Tensor,
    weight: Tensor,
    bias: Tensor,
    x: Tensor,
    cells: Tensor | None = None,
    positive_weight: float = 1.0,
    gaussian: bool = False,
) -> Tensor:
    """Return a negative log-likelihood of the logits ``h @ weight.T + bias``, summed over cells.

    Logits are computed, turned into loss and gradient, and freed, some rows at a time.

    Parameters
    ----------
    h : float tensor, shape (B, H)
        The last hidden layer.
    weight, bias : float tensor, shapes (n, H) and (n,)
        The output layer.
    x : float tensor, shape (B, n)
        Targets in [0, 1].
    cells : bool tensor, shape (B, n), optional
        Which cells count; None: all.
    positive_weight : float
        Weight of the term of x in the cross-entropy; the term of 1 - x has weight 1.
    gaussian : bool
        Use half the squared distance of the sigmoid outputs from x instead of the cross-entropy.
    """
    total: Tensor = _LinearReconstruction.apply(  # type: ignore[no-untyped-call]
        h, weight, bias, x, cells, positive_weight, gaussian
    )
    return total


class _LinearReconstruction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        h: Tensor,
        weight: Tensor,
        bias: Tensor,
        x: Tensor,
        cells: Tensor | None,
        positive_weight: float,
        gaussian: bool,
    ) -> Tensor:
        total = torch.zeros((), device=h.device, dtype=h.dtype)
        dh, dw, db = torch.empty_like(h), torch.zeros_like(weight), torch.zeros_like(bias)
        n_rows = max(FEWEST_ROWS, HELD_LOGITS // len(weight))
        held = h.new_empty(min(n_rows, len(h)), len(weight))  # reused by every part
        for begin in range(0, len(h), n_rows):
            part = slice(begin, begin + n_rows)
            logits = held[: len(h[part])]
            torch.addmm(bias, h[part], weight.T, out=logits)
            loss, slope = _reconstruction_terms(logits, x[part], positive_weight, gaussian)
            if cells is not None:
                loss, slope = loss * cells[part], slope * cells[part]
            total += loss.sum()
            torch.mm(slope, weight, out=dh[part])
            dw.addmm_(slope.T, h[part])
            db += slope.sum(dim=0)
        ctx.save_for_backward(dh, dw, db)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *(grads[0] * slope for slope in ctx.saved_tensors), None, None, None, None


def _reconstruction_terms(
    logits: Tensor, x: Tensor, weight: float, gaussian: bool
) -> tuple[Tensor, Tensor]:
    """Return each cell's loss and slope, in the shape of the logits."""
    s = logits.sigmoid()
    if gaussian:
        off = s - x
        return off.square() / 2, off * s * (1 - s)
    zero = softplus(logits)  # -log(1 - s); minus the logit it is -log s
    loss = (1 - x) * zero + weight * x * (zero - logits)
    return loss, (1 - x) * s - weight * x * (1 - s)
