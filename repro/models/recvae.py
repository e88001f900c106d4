"""RecVAE: Shenbin et al., "RecVAE: A New Variational Autoencoder for Top-N ...", WSDM 2020.

**Implements** the model of the published numbers: a deep encoder that adds all earlier layers
before each activation, a composite prior, a KL weight per user, alternating updates.
**Reference**: ilya-shenbin/RecVAE (authors), branch wsdm, commit 95c531a, and master, commit
05fdd52, read for facts: widths, initialisation, mixture weights, order of the passes. We did not
have the paper.
**Deviations**: the defaults are those of branch wsdm, with fields where master differs: epsilon of
the layer norms (1e-5, master 0.1), and the old posterior (stored per training user, at first from
the untrained encoder; master: a frozen copy of the encoder, at first another random one). Master
adds the KL term to the decoder's loss, where it has no gradient; it is left out, as in wsdm. After
11 epochs wsdm stops when validation NDCG@100 is below half of its best. A model sees no validation
here: all epochs are trained, and the table's `select` and `patience` decide. Rows without items are
not trained on; both codes divide by 0 there.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from repro.hyperparameters import Count, Dropout, Natural, NonNegative, Positive
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import drawn, log_normal
from repro.nn.layers import SparseInput
from repro.nn.losses import linear_multinomial_nll
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class RecVAE:
    """A VAE with a composite prior, which contains the posterior of the previous epoch.

    The defaults are the authors' for MovieLens 20M (code, branch wsdm).
    """

    hidden_dim: Count = 600
    """Of each of the encoder's five layers. [code]"""
    latent_dim: Count = 200
    """Of z. [code]"""
    dropout: Dropout = 0.5
    """Share of the input that is dropped while the encoder is trained. [code]"""
    gamma: NonNegative = 0.005
    """KL weight per interaction of the user; not annealed. The paper has 0.0035 on Netflix.
    [code]"""
    prior_weights: tuple[Positive, ...] = (0.15, 0.75, 0.1)
    """Of the composite prior: standard normal, old posterior, wide normal. [code]"""
    wide_logvar: float = 10.0
    """Log variance of the wide normal. [code]"""
    old_posterior: Literal["stored", "copy"] = "stored"
    """Stored for every training user, or computed by a frozen copy of the encoder, which before the
    first epoch is another random encoder (master). [code]"""
    layer_norm_eps: NonNegative = 0.00001
    """Added to the variance by the layer norms; 0.1 in master. [code]"""
    n_encoder_passes: Natural = 3
    """Passes over all users that train the encoder, first in an epoch. [code]"""
    n_decoder_passes: Natural = 1
    """Passes over all users that train the decoder, without dropout and KL term. [code]"""
    learning_rate: NonNegative = 0.0005
    """Of both Adam optimizers. [code]"""
    batch_size: Count = 500
    """Users. [code]"""
    n_epochs: Natural = 50
    """Each with all these passes. [code]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["RecVAENet"]:
        """Train the encoder, renew the prior, train the decoder."""
        net = RecVAENet(train.n_items, self).to(run.device)
        batches = UserRows(train, self.batch_size, run.device)
        old: OldPosteriors | OldEncoder
        if self.old_posterior == "stored":
            old = OldPosteriors(train.n_users, self.latent_dim).to(run.device)
            old.renew(net.encoder, batches)
        else:
            old = OldEncoder(train.n_items, self).to(run.device)
        encoder, decoder = net.encoder.parameters(), net.decoder.parameters()
        e_adam = torch.optim.Adam(encoder, self.learning_rate, fused=True)
        d_adam = torch.optim.Adam(decoder, self.learning_rate, fused=True)
        state = {"net": net, "old": old, "e_adam": e_adam, "d_adam": d_adam}
        for _ in run.epochs(self.n_epochs, **state):
            net.train()
            for _ in range(self.n_encoder_passes):
                for x in batches:
                    nll, kl = self.encoder_terms(net, old, x)  # a number, and (B,)
                    loss = nll + (self.gamma * x.count * kl).mean()
                    e_adam.zero_grad()
                    loss.backward()
                    e_adam.step()
                    run.log(loss=loss, nll=nll, kl=kl.mean())
            net.encoder.eval()  # no dropout from here on
            old.renew(net.encoder, batches)
            for _ in range(self.n_decoder_passes):
                for x in batches:
                    with torch.no_grad():
                        z = drawn(*net.encoder(x))
                    d_adam.zero_grad()  # before the likelihood makes new gradients
                    loss = linear_multinomial_nll(z, net.decoder.weight, net.decoder.bias, x)
                    loss.backward()
                    d_adam.step()
                    run.log(decoder=loss)
            yield net

    def encoder_terms(
        self, net: "RecVAENet", old: "OldPosteriors | OldEncoder", x: Rows
    ) -> tuple[Tensor, Tensor]:
        """Return the mean likelihood term and each user's KL, shape (B,), of one sample of z.

        Gradients go through the decoder to the encoder; the decoder's weights get none.
        """
        mean, logvar = net.encoder(x)
        z = drawn(mean, logvar)  # (B, D)
        log_ratio = log_normal(z, mean, logvar) - self.log_prior(z, *old(x))
        weight, bias = net.decoder.weight.detach(), net.decoder.bias.detach()
        return linear_multinomial_nll(z, weight, bias, x), log_ratio.sum(dim=1)

    def log_prior(self, z: Tensor, old_mean: Tensor, old_logvar: Tensor) -> Tensor:
        """Return the composite prior's log density of each single dimension, shape (B, D).

        Parameters
        ----------
        z, old_mean, old_logvar : float tensor, shape (B, D)
            A sample, and the old posterior of the same users.

        Notes
        -----
        Each dimension has its own mixture; the density of z is the product over dimensions (code).
        """
        zero = torch.zeros_like(z)
        means, logvars = (zero, old_mean, zero), (zero, old_logvar, zero + self.wide_logvar)
        parts = [
            math.log(weight) + log_normal(z, mean, logvar)
            for weight, mean, logvar in zip(self.prior_weights, means, logvars, strict=True)
        ]
        return torch.stack(parts).logsumexp(dim=0)


class Encoder(nn.Module):
    """I -> five layers of H, each with the sum of all before it -> mean and log variance.

    h_1 = norm(swish(W_1 x)); h_l = norm(swish(W_l h_(l-1) + h_1 + ... + h_(l-1))).
    """

    def __init__(self, n_items: int, model: RecVAE) -> None:
        super().__init__()
        width = model.hidden_dim
        self.input = SparseInput(n_items, width, model.dropout)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.norms = nn.ModuleList(nn.LayerNorm(width, model.layer_norm_eps) for _ in range(5))
        self.output = nn.Linear(width, 2 * model.latent_dim)
        for parameter in self.input.parameters():  # like the code's dense layer
            nn.init.uniform_(parameter, -(n_items**-0.5), n_items**-0.5)

    def forward(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), shape (B, D) each."""
        h = total = self.norms[0](silu(self.input(x)))  # (B, H)
        for layer, norm in zip(self.hidden, self.norms[1:], strict=True):
            h = norm(silu(layer(h) + total))
            total = total + h
        mean, logvar = self.output(h).chunk(2, dim=1)
        return mean, logvar


class OldPosteriors(nn.Module):
    """Mean and log variance of every training user, as encoded at the last renewal.

    Parameters
    ----------
    n_users, latent_dim : int
        U and D: 187 MB for MovieLens 20M, 613 MB for Netflix.
    """

    mean: Tensor
    logvar: Tensor

    def __init__(self, n_users: int, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_users, latent_dim))
        self.register_buffer("logvar", torch.zeros(n_users, latent_dim))

    def forward(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return the old mean and log variance of a batch, shape (B, D) each."""
        return self.mean[x.user], self.logvar[x.user]

    @torch.no_grad()
    def renew(self, encoder: Encoder, batches: UserRows) -> None:
        """Encode every user again, without dropout; the encoder keeps its mode."""
        was_training = encoder.training
        encoder.eval()
        for users in batches.users.split(batches.batch_size):
            self.mean[users], self.logvar[users] = encoder(batches.of(users))
        encoder.train(was_training)


class OldEncoder(nn.Module):
    """A copy of the encoder from the last renewal; at first another random one (master)."""

    def __init__(self, n_items: int, model: RecVAE) -> None:
        super().__init__()
        self.encoder = Encoder(n_items, model).eval().requires_grad_(False)

    def forward(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return its mean and log variance of a batch, shape (B, D) each, without dropout."""
        mean, logvar = self.encoder(x)
        return mean, logvar

    def renew(self, encoder: Encoder, batches: UserRows) -> None:
        """Copy the encoder's weights."""
        self.encoder.load_state_dict(encoder.state_dict())


class RecVAENet(nn.Module):
    """I -> encoder -> z -> one linear layer -> I."""

    def __init__(self, n_items: int, model: RecVAE) -> None:
        super().__init__()
        self.encoder = Encoder(n_items, model)
        self.decoder = nn.Linear(model.latent_dim, n_items)

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits at the posterior mean, shape (B, I) or (B, C)."""
        x = rows_of(queries.history, self.decoder.weight.device)
        return picked(self.decoder(self.encoder(x)[0]), queries)


MODEL = RecVAE
