"""CVAE-GAN: Bao et al., "CVAE-GAN: Fine-Grained Image Generation", ICCV 2017.

**Implements** Sections 3.1 and 3.3 and Algorithm 1 without its classifier C and its condition c:
interaction vectors have no class labels. The rest is a VAE-GAN whose generator does not try to fool
the discriminator but matches its features: the mean features of vectors drawn from the prior
(Eq. 3) and the features of each reconstruction (Eq. 7). The score of an item is its logit at the
posterior mean.
**Reference**: we found no code of the authors; the paper's losses and weights are as others quote
them.
**Deviations**: C, c and L_GC are left out, as said. The paper adds moving averages to the features'
batch mean, at a rate that it does not state; here there are none. It reconstructs pixels with a
squared error, which also here is 0.5 |x - x'|^2, with x' the sigmoid of the logits (`likelihood`).
Networks, learning rates and batches are our choice: the paper has GoogLeNet and convolutions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from repro.hyperparameters import Count, Layers, Momentum, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.adversarial import VectorDiscriminator, perceptron
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import drawn, gaussian_kl
from repro.nn.layers import SparseInput
from repro.nn.losses import bernoulli_nll, own_logits
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class CVAEGAN:
    """A VAE-GAN whose generator matches the discriminator's features, per vector and on average."""

    hidden_dims: Layers = (200,)
    """Hidden layers of the encoder E, tanh. [ours]"""
    latent_dim: Count = 64
    """Size of z. [ours]"""
    decoder_dims: tuple[Count, ...] = ()
    """Hidden layers of the generator G, tanh; none: a linear generator. [ours]"""
    discriminator_dims: Layers = (200,)
    """Hidden layers of D, leaky ReLU; the last one gives the features f_D. [ours]"""
    likelihood: Literal["squared", "bernoulli"] = "squared"
    """Of the reconstruction: half the squared error (Eq. 7), or the binary cross-entropy. [paper
    Eq. 7]"""
    kl_weight: NonNegative = 3.0
    """lambda_1. [paper 4]"""
    reconstruction_weight: NonNegative = 1.0
    """lambda_2, of reconstruction and pairwise feature matching. [paper 4]"""
    mean_matching_weight: NonNegative = 0.001
    """lambda_3. [paper 4]"""
    learning_rate: NonNegative = 0.001
    """Of E and G. [ours]"""
    discriminator_learning_rate: NonNegative = 0.0001
    """Of D. [ours]"""
    adam_beta1: Momentum = 0.5
    """Decay of the first moment, in both Adam optimizers; 0.5 is usual for GANs. [ours]"""
    batch_size: Count = 128
    """Users. [ours]"""
    n_epochs: Natural = 200
    """Passes over the users. [ours]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["CVAEGANNet"]:
        """Train D, then E and G, on every batch of users (Algorithm 1)."""
        net = CVAEGANNet(train.n_items, self).to(run.device)
        D = VectorDiscriminator(train.n_items, self.discriminator_dims).to(run.device)
        own, betas = list(net.parameters()), (self.adam_beta1, 0.999)
        by_vae = torch.optim.Adam(own, self.learning_rate, betas, fused=True)
        by_d = torch.optim.Adam(D.parameters(), self.discriminator_learning_rate, betas, fused=True)
        batches = UserRows(train, self.batch_size, run.device)
        for _ in run.epochs(self.n_epochs, net=net, D=D, by_vae=by_vae, by_d=by_d):
            for x in batches:
                logits, mean, logvar = net(x)  # (B, I), (B, D), (B, D)
                x_f, x_p = logits.sigmoid(), net.decoder(torch.randn_like(mean)).sigmoid()
                d_loss = discriminator_loss(D, x, x_f.detach(), x_p.detach())
                by_d.zero_grad()
                d_loss.backward()
                by_d.step()
                l_kl = gaussian_kl(mean, logvar).mean()
                pairwise, l_gd = matching(D, x, x_f, x_p)
                l_g = self.reconstruction(logits, x).mean() + pairwise
                loss = (
                    self.kl_weight * l_kl  # reaches E alone
                    + self.reconstruction_weight * l_g
                    + self.mean_matching_weight * l_gd  # reaches G alone
                )
                by_vae.zero_grad()
                loss.backward(inputs=own)  # through D, not into it
                by_vae.step()
                run.log(loss=loss, l_kl=l_kl, l_g=l_g, pairwise=pairwise, l_gd=l_gd, d_loss=d_loss)
            yield net

    def reconstruction(self, logits: Tensor, x: Rows) -> Tensor:
        """Return each user's reconstruction error, summed over the items, shape (B,)."""
        if self.likelihood == "bernoulli":
            return bernoulli_nll(logits, x)
        return squared_error(logits.sigmoid(), x)


def squared_error(made: Tensor, x: Rows) -> Tensor:
    """Return half the squared distance of vectors, shape (B, I), from the real ones, shape (B,)."""
    return 0.5 * (made.square().sum(dim=1) + x.count) - own_logits(made, x)


def discriminator_loss(d: VectorDiscriminator, x: Rows, x_f: Tensor, x_p: Tensor) -> Tensor:
    """Return D's loss: real vectors against reconstructed and drawn ones (Algorithm 1)."""
    return softplus(-d(x)).mean() + softplus(d(x_f)).mean() + softplus(d(x_p)).mean()


def matching(d: VectorDiscriminator, x: Rows, x_f: Tensor, x_p: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses of pairwise (Eq. 7) and of mean feature matching, L_GD (Eq. 3).

    Parameters
    ----------
    d : VectorDiscriminator
        D.
    x : Rows
        Real vectors x_r.
    x_f, x_p : float tensor, shape (B, I)
        Their reconstructions, and vectors decoded from z drawn from the prior.
    """
    real = d.features(x).detach()  # does not depend on E and G
    pairwise = 0.5 * (real - d.features(x_f)).square().sum(dim=1).mean()
    return pairwise, 0.5 * (real.mean(dim=0) - d.features(x_p).mean(dim=0)).square().sum()


class CVAEGANNet(nn.Module):
    """I -> hidden -> (mean, log variance) -> z -> hidden -> I."""

    def __init__(self, n_items: int, model: CVAEGAN) -> None:
        super().__init__()
        self.input = SparseInput(n_items, model.hidden_dims[0], 0.0)
        widths = [*model.hidden_dims, 2 * model.latent_dim]
        self.encoder = nn.Sequential(nn.Tanh(), *perceptron(widths, nn.Tanh))
        self.decoder = perceptron([model.latent_dim, *model.decoder_dims, n_items], nn.Tanh)

    def encode(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), shape (B, D) each."""
        mean, logvar = self.encoder(self.input(x)).chunk(2, dim=1)
        return mean, logvar

    def forward(self, x: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of a sampled z, mean and log variance: (B, I), (B, D), (B, D)."""
        mean, logvar = self.encode(x)
        return self.decoder(drawn(mean, logvar)), mean, logvar

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits at the posterior mean, shape (B, I) or (B, C)."""
        x = rows_of(queries.history, self.input.weight.device)
        return picked(self.decoder(self.encode(x)[0]), queries)


MODEL = CVAEGAN
