"""VAEGAN: Yu et al., "VAEGAN: A Collaborative Filtering Framework", IJCAI 2019.

**Implements** AVB + D + C, from what we know of the paper: adversarial variational Bayes (AVB,
Mescheder et al. 2017), an auxiliary discriminator of interaction vectors (D), and a contractive
penalty (C).
**Reference**: none. No code is public, and we did not have the paper. We know the three parts from
its abstract, and the form of its encoder, noise inside a network, from ACVAE's paper, Section 3.2.
**Our choice** is everything else: the encoders (those of AVB), widths, likelihood, weights,
learning rates and schedules; D's form and what it sees (`generated`); the penalty's form (Rifai et
al. 2011, on the first layer only); that T and D are updated first, then encoder and decoder, once
per batch; the average over `n_test_draws` noises at test time, the same for all users. Defaults are
for DAVE's tables; SE-VAE's row is closer to Mult-VAE. So a difference from a published number says
little about the method. **Deviations**: unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Dropout, Layers, Momentum, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.adversarial import (
    VectorDiscriminator,
    logistic_loss,
    non_saturating_loss,
    perceptron,
)
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.implicit import Adversary, Draw, NoiseBasisEncoder, NoisyEncoder
from repro.nn.losses import bernoulli_nll, multinomial_nll
from repro.nn.schedules import linear_clipped
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class VAEGAN:
    """AVB with a discriminator of interaction vectors and a contractive encoder."""

    hidden_dims: Layers = (200,)
    """Hidden layers of the encoder, softplus. [ours]"""
    latent_dim: Count = 64
    """Of z; DAVE's tables have 32 on Yelp. [ours]"""
    decoder_dims: tuple[Count, ...] = ()
    """Hidden layers between z and the logits, softplus; none: a linear decoder. [ours]"""
    dropout: Dropout = 0.0
    """Share of the input that is dropped. [ours]"""
    likelihood: Literal["bernoulli", "multinomial"] = "bernoulli"
    """Of the reconstruction; multinomial in SE-VAE's table. [ours]"""
    adaptive_contrast: bool = True
    """Whether T compares q with a Gaussian of q's mean and variance instead of the prior (AVB).
    [ours]"""
    noise_dim: Count = 64
    """Of each noise vector. [other AVB's code]"""
    n_noises: Natural = 32
    """Noise networks of the encoder with adaptive contrast. [other AVB's code; if
    adaptive_contrast]"""
    discriminator_dims: tuple[Count, ...] = (200, 200)
    """Of T, leaky ReLU. [ours]"""
    beta: NonNegative = 1.0
    """Largest weight of the KL term. [ours]"""
    anneal_steps: Natural = 0
    """Updates in which that weight would rise from 0 to 1; it stops at beta. 0: none. [ours]"""
    profile_discriminator_dims: Layers = (200,)
    """Of D, leaky ReLU. [ours]"""
    generated: Literal["masked", "softmax"] = "masked"
    """What D must tell from real vectors. "masked": the probabilities of the user's own items, with
    the others masked as in CFGAN, against ones. "softmax": the softmax of all logits, against rows
    that sum to 1. [ours]"""
    adversarial_weight: NonNegative = 0.1
    """Of the non-saturating loss, by which generated vectors should fool D. [ours]"""
    contractive_weight: NonNegative = 0.001
    """Of the squared Frobenius norm of the Jacobian of the encoder's first layer. [ours]"""
    learning_rate: NonNegative = 0.001
    """Of encoder and decoder. [ours]"""
    discriminator_learning_rate: NonNegative = 0.0001
    """Of T and D. [ours]"""
    adam_beta1: Momentum = 0.5
    """Decay of the first moment, in both Adam optimizers. [other AVB's code]"""
    n_test_draws: Count = 10
    """Noises that the logits are averaged over. [ours]"""
    batch_size: Count = 128
    """Users. [ours]"""
    n_epochs: Natural = 200
    """Passes over the users. [ours]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["VAEGANNet"]:
        """Train T and D, then encoder and decoder against both, on every batch of users."""
        net = VAEGANNet(train.n_items, self).to(run.device)
        T = Adversary(self.hidden_dims[0], self.latent_dim, self.discriminator_dims).to(run.device)
        D = VectorDiscriminator(train.n_items, self.profile_discriminator_dims).to(run.device)
        own, betas = list(net.parameters()), (self.adam_beta1, 0.999)
        by_vae = torch.optim.Adam(own, self.learning_rate, betas, fused=True)
        by_td = torch.optim.Adam(
            [*T.parameters(), *D.parameters()], self.discriminator_learning_rate, betas, fused=True
        )
        batches = UserRows(train, self.batch_size, run.device)
        for epoch in run.epochs(self.n_epochs, net=net, T=T, D=D, by_vae=by_vae, by_td=by_td):
            for step, x in enumerate(batches, start=epoch * len(batches)):
                draw: Draw = net.encoder(x)
                logits = net.decoder(draw.z)  # (B, I)
                t_loss = T.loss(draw)
                d_loss = logistic_loss(self.real(D, x), self.fake(D, logits.detach(), x))
                by_td.zero_grad()
                (t_loss + d_loss).backward()
                by_td.step()
                nll, kl = self.nll(logits, x), T.kl(draw)  # (B,) each
                fooling = non_saturating_loss(self.fake(D, logits, x))
                penalty = contraction(draw.first, net.encoder.input.weight).mean()
                beta = linear_clipped(step, self.anneal_steps, self.beta)
                loss = (nll + beta * kl).mean()
                loss = loss + self.adversarial_weight * fooling + self.contractive_weight * penalty
                by_vae.zero_grad()
                loss.backward(inputs=own)  # through T and D, not into them
                by_vae.step()
                run.log(loss=loss, nll=nll.mean(), kl=kl.mean(), t_loss=t_loss, d_loss=d_loss)
                run.log(fooling=fooling, penalty=penalty)
            yield net

    def nll(self, logits: Tensor, x: Rows) -> Tensor:
        """Return each user's negative log-likelihood, shape (B,)."""
        loss = bernoulli_nll if self.likelihood == "bernoulli" else multinomial_nll
        return loss(logits, x)

    def real(self, d: VectorDiscriminator, x: Rows) -> Tensor:
        """Return D's logits for the real vectors, shape (B,)."""
        if self.generated == "masked":
            return d(x)
        return d(x, x.count[x.row].float().reciprocal())

    def fake(self, d: VectorDiscriminator, logits: Tensor, x: Rows) -> Tensor:
        """Return D's logits for the generated vectors, shape (B,)."""
        if self.generated == "masked":
            return d(x, logits[x.row, x.item].sigmoid())  # zero elsewhere, so also sparse
        return d(logits.softmax(dim=1))


def contraction(first: Tensor, weight: Tensor) -> Tensor:
    """Return the squared Frobenius norm of the first layer's Jacobian for each user, shape (B,).

    Parameters
    ----------
    first : float tensor, shape (B, H)
        The layer before its softplus, without noise.
    weight : float tensor, shape (I, H)
        The layer's weight.

    Notes
    -----
    Rifai et al., "Contractive Auto-Encoders", ICML 2011, Section 3, with softplus for sigmoid:
    dh_j / dx_i = sigma(a_j) W_ij, where x is the layer's input, the normalised row.
    """
    return first.sigmoid().square() @ weight.square().sum(dim=0)


class VAEGANNet(nn.Module):
    """I -> first layer -> hidden layers with noise -> z -> hidden layers -> I."""

    def __init__(self, n_items: int, model: VAEGAN) -> None:
        super().__init__()
        sizes = n_items, model.hidden_dims, model.latent_dim, model.noise_dim
        drop, S = model.dropout, model.n_test_draws
        self.encoder: NoisyEncoder | NoiseBasisEncoder
        if model.adaptive_contrast:
            self.encoder = NoiseBasisEncoder(*sizes, model.n_noises, drop, S)
        else:
            self.encoder = NoisyEncoder(*sizes, drop, S)
        self.decoder = perceptron([model.latent_dim, *model.decoder_dims, n_items], nn.Softplus)

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the mean logits over the test draws, shape (B, I) or (B, C)."""
        z = self.encoder.test_draws(rows_of(queries.history, self.encoder.test_noise.device))
        h = self.decoder[:-1](z).mean(dim=0)  # before the last layer, as that is linear
        return picked(self.decoder[-1](h), queries)


MODEL = VAEGAN
