"""AVB: Mescheder et al., "Adversarial Variational Bayes", ICML 2017.

**Implements** Algorithm 1, with or without the adaptive contrast of Section 4, on user rows. The
score of an item is its logit.
**Reference**: LMescheder/AdversarialVariationalBayes (authors), commit ee29153, read for facts:
encoders, initial weights, optimizers. The defaults are its for MNIST with 32 latent dimensions, but
with its fully connected encoder and decoder instead of the convolutional ones.
**Deviations**: the paper's model is for images. Here rows enter as in Mult-VAE, L2-normalised and
through a sparse layer; the code centres pixels at 0. T reads x through the encoder's first layer;
the code's T has its own networks for x, z and both, and adds half the squared norm of its z. The
code computes both updates from one state, as the paper does; here T is updated first (`updates`).
The code adds 1e-4 to the contrast's variance in one of two places, here in both, so that r is a
density. It divides the loss by the number of pixels, which Adam cancels. At test time it evaluates
likelihoods, not z; here the logits are averaged over `n_test_draws` noises, the same for all users.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Layers, Momentum, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.adversarial import perceptron
from repro.nn.batches import UserRows, rows_of
from repro.nn.implicit import Adversary, Draw, NoiseBasisEncoder, NoisyEncoder
from repro.nn.losses import bernoulli_nll
from repro.nn.schedules import linear_clipped
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class AVB:
    """A VAE with an implicit posterior, whose KL term is estimated by a discriminator."""

    hidden_dims: Layers = (300, 300)
    """Of the encoder, softplus. [code]"""
    latent_dim: Count = 32
    """Of z; 8 or 32 in the code. [code]"""
    decoder_dims: tuple[Count, ...] = (300, 300)
    """Hidden layers between z and the logits, softplus (code); none: a linear decoder. [code]"""
    adaptive_contrast: bool = True
    """Whether T compares q with a Gaussian of q's mean and variance instead of the prior. [code]"""
    noise_dim: Count = 64
    """Of each noise vector. [code]"""
    n_noises: Natural = 32
    """How many v_i are added up, with adaptive contrast. [code]"""
    discriminator_dims: tuple[Count, ...] = (1024, 1024, 1024)
    """Of T, leaky ReLU. [code]"""
    updates: Literal["adversary_first", "simultaneous"] = "adversary_first"
    """Whether T is updated before encoder and decoder, or together with them from one state
    (Algorithm 1). [code; not paper Algorithm 1]"""
    beta: NonNegative = 1.0
    """Weight of the KL term; 1 is the evidence lower bound. [paper]"""
    anneal_steps: Natural = 0
    """Updates in which that weight would rise from 0 to 1; it stops at beta. 0: none. [code]"""
    learning_rate: NonNegative = 0.00005
    """Of encoder and decoder. [code]"""
    discriminator_learning_rate: NonNegative = 0.0001
    """Of T. [code]"""
    adam_beta1: Momentum = 0.5
    """Decay of the first moment, in both Adam optimizers. [code]"""
    n_test_draws: Count = 10
    """Noises that the logits are averaged over. [ours]"""
    batch_size: Count = 128
    """Users; the code has as many images. [code]"""
    n_epochs: Natural = 200
    """The code makes 2.5 million updates. [ours]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["AVBNet"]:
        """Maximise the lower bound with T's estimate of the KL term; every user once per epoch."""
        net = AVBNet(train.n_items, self).to(run.device)
        T = Adversary(self.hidden_dims[0], self.latent_dim, self.discriminator_dims).to(run.device)
        own, betas = list(net.parameters()), (self.adam_beta1, 0.999)
        by_vae = torch.optim.Adam(own, self.learning_rate, betas, fused=True)
        by_t = torch.optim.Adam(T.parameters(), self.discriminator_learning_rate, betas, fused=True)
        batches = UserRows(train, self.batch_size, run.device)
        for epoch in run.epochs(self.n_epochs, net=net, T=T, by_vae=by_vae, by_t=by_t):
            for step, x in enumerate(batches, start=epoch * len(batches)):
                draw: Draw = net.encoder(x)
                t_loss = T.loss(draw)
                by_t.zero_grad()
                t_loss.backward()
                if self.updates == "adversary_first":
                    by_t.step()
                nll, kl = bernoulli_nll(net.decoder(draw.z), x), T.kl(draw)  # (B,) each
                beta = linear_clipped(step, self.anneal_steps, self.beta)
                loss = (nll + beta * kl).mean()  # Eq. 3.7
                by_vae.zero_grad()
                loss.backward(inputs=own)  # through T, not into it
                if self.updates == "simultaneous":
                    by_t.step()
                by_vae.step()
                run.log(loss=loss, nll=nll.mean(), kl=kl.mean(), t_loss=t_loss)
            yield net


class AVBNet(nn.Module):
    """I -> first layer -> hidden layers with noise -> z -> hidden layers -> I."""

    def __init__(self, n_items: int, model: AVB) -> None:
        super().__init__()
        sizes = n_items, model.hidden_dims, model.latent_dim, model.noise_dim
        self.encoder: NoisyEncoder | NoiseBasisEncoder
        if model.adaptive_contrast:
            self.encoder = NoiseBasisEncoder(*sizes, model.n_noises, 0.0, model.n_test_draws)
        else:
            self.encoder = NoisyEncoder(*sizes, 0.0, model.n_test_draws)
        self.decoder = perceptron([model.latent_dim, *model.decoder_dims, n_items], nn.Softplus)

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the mean logits over the test draws, shape (B, I) or (B, C)."""
        z = self.encoder.test_draws(rows_of(queries.history, self.encoder.test_noise.device))
        h = self.decoder[:-1](z).mean(dim=0)  # before the last layer, as that is linear
        return picked(self.decoder[-1](h), queries)


MODEL = AVB
