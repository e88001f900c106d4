"""Experts: M decoders in one VAE, and the choice among them at every click.

Cho & Oh, "Stochastic-Expert Variational Autoencoder for Collaborative Filtering", WWW 2022,
Sections 3.1 to 3.3. To put experts into a VAE, give it M latent variables and M decoders. Pass the
last hidden units of each decoder to `Experts`, which holds the output layers, draws the expert of
every click and returns the likelihood. Add the KL term of the selector's w. With one expert no
random number is drawn, and the model is the plain VAE.

Shape letters: B users, I items, H units, M experts, m clicks of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import gumbel_softmax, linear, log_softmax

from repro.nn.batches import Rows
from repro.nn.losses import linear_multinomial_nll

Select = Literal["click", "user", "expected"]
Mixture = Literal["probabilities", "log_probabilities", "logits"]


class Experts(nn.Module):
    """The output layers of M experts: the likelihood of clicks, and the scores of items.

    Parameters
    ----------
    n_experts, n_units, n_items : int
        M, H and I.
    mixture : bool
        False: stochastic experts, sum_i sum_m e_im log pi_m(i) with e drawn by w. True: a mixture
        of experts, sum_i log sum_m a_m pi_m(i) with a = softmax(w / temperature).
    select : str
        For stochastic experts: "click" draws e for every click, "user" once for all clicks of a
        user, "expected" takes e's expectation under w, which has no temperature. If `hard`, all
        three have the same expected objective.
    temperature : float
        Of the Gumbel-softmax, and of the weights at test time.
    hard : bool
        Whether a drawn e is one-hot, with the gradient of the soft e (straight-through).
    scored_by : str
        What is averaged over the experts at test time.
    share_output : bool
        Whether all experts have one output layer.
    """

    def __init__(
        self,
        n_experts: int,
        n_units: int,
        n_items: int,
        *,
        mixture: bool = False,
        select: Select = "click",
        temperature: float = 1.0,
        hard: bool = True,
        scored_by: Mixture = "probabilities",
        share_output: bool = False,
    ) -> None:
        super().__init__()
        n_outputs = 1 if share_output else n_experts
        self.outputs = nn.ModuleList(nn.Linear(n_units, n_items) for _ in range(n_outputs))
        self.n_experts, self.mixture, self.select = n_experts, mixture, select
        self.temperature, self.hard, self.scored_by = temperature, hard, scored_by

    def output(self, m: int) -> nn.Linear:
        """Return an expert's output layer."""
        layer = self.outputs[m % len(self.outputs)]
        assert isinstance(layer, nn.Linear)
        return layer

    def nll(self, hidden: Sequence[Tensor], x: Rows, w: Tensor | None) -> Tensor:
        """Return the negative log-likelihood, averaged over the users.

        Parameters
        ----------
        hidden : M float tensors, shape (B, H)
            The last hidden units of every expert's decoder.
        x : Rows
            The users' interactions.
        w : float tensor, shape (B, M), or None with one expert
            The selector's logits, drawn.
        """
        if w is None:
            share: Sequence[Tensor | None] = [None]
        elif self.mixture:
            return self._mixture_nll(hidden, x, w)
        else:
            share = self.choose(x, w).unbind(dim=1)
        parts = [self._nll(m, h, x, e) for m, (h, e) in enumerate(zip(hidden, share, strict=True))]
        return torch.stack(parts).sum()

    def choose(self, x: Rows, w: Tensor) -> Tensor:
        """Return e, each expert's share of each click, shape (m, M), for logits w, shape (B, M).

        Notes
        -----
        Section 3.1, read as `select` says. The data are binary, so each entry of x is one click.
        The expectation of a one-hot e is softmax(w) at any temperature.
        """
        if self.select == "expected":
            return w.softmax(dim=1)[x.row]
        if self.select == "user":
            return gumbel_softmax(w, self.temperature, self.hard)[x.row]
        return gumbel_softmax(w[x.row], self.temperature, self.hard)

    def _nll(self, m: int, h: Tensor, x: Rows, share: Tensor | None) -> Tensor:
        layer = self.output(m)
        return linear_multinomial_nll(h, layer.weight, layer.bias, x, share)

    def _mixture_nll(self, hidden: Sequence[Tensor], x: Rows, w: Tensor) -> Tensor:
        """Return the mixture's loss, its gradients through the responsibilities.

        Notes
        -----
        The gradient of log sum_m a_m pi_m is sum_m r_m times that of log a_m + log pi_m, where r_m
        is expert m's share of the sum. So r is computed first, from one matrix of logits at a time;
        the rest is as with stochastic experts.
        """
        log_a = log_softmax(w / self.temperature, dim=1)[x.row]  # (m, M)
        with torch.no_grad():
            log_pi = torch.stack([self._log_pi(m, h, x) for m, h in enumerate(hidden)], dim=1)
            joint = log_a + log_pi  # (m, M)
            r = joint.softmax(dim=1)
            entropy = -(r * joint.log_softmax(dim=1)).sum()
        parts = [self._nll(m, h, x, r[:, m]) for m, h in enumerate(hidden)]
        return torch.stack(parts).sum() - ((r * log_a).sum() + entropy) / len(w)

    def _log_pi(self, m: int, h: Tensor, x: Rows) -> Tensor:
        logits = self.output(m)(h)
        return logits[x.row, x.item] - logits.logsumexp(dim=1)[x.row]

    def scores(self, hidden: Sequence[Tensor], w: Tensor | None) -> Tensor:
        """Return the items' scores, shape (B, I).

        Parameters
        ----------
        hidden : M float tensors, shape (B, H)
            As for `nll`, of mean latent variables.
        w : float tensor, shape (B, M), or None with one expert
            The mean of the selector's logits; softmax(w / temperature) weighs the experts.

        Notes
        -----
        Section 3.3: "otherwise generates the soft mixtures". A mixture of probabilities is returned
        as its logarithm, which gives the same ranking and does not vanish.
        """
        if w is None:
            return linear(hidden[0], self.output(0).weight, self.output(0).bias)
        log_a = log_softmax(w / self.temperature, dim=1)
        total: Tensor | None = None
        for m, h in enumerate(hidden):
            part, log_weight = self.output(m)(h), log_a[:, m, None]
            if self.scored_by != "logits":
                part = log_softmax(part, dim=1)
            if self.scored_by == "probabilities":
                part = part + log_weight
                total = part if total is None else torch.logaddexp(total, part)
            else:
                part = part * log_weight.exp()
                total = part if total is None else total + part
        assert total is not None
        return total
