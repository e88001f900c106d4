"""Mult-VAE: Liang et al., "Variational Autoencoders for Collaborative Filtering", WWW 2018.

**Implements** Sections 2 and 3.4 (Mult-VAE^PR), and the variants of the ablation study (Alajeel,
"Variational Autoencoder for Movie Recommendations"), each a field.
**Reference**: dawenl/vae_cf, commit ad103c5, read for facts: widths, initialisation, annealing.
**Deviations**: Adam's epsilon is added as in torch. TensorFlow 1 adds it before the bias
correction: it is then 32 times as large in the first update, 1.3 times in the thousandth. The paper
searches for the annealing cap; the code fixes it at 0.2 and raises the weight by 1/200,000 per
update: min(0.2, step / 200,000), not a ramp to 0.2 over 200,000 updates. The ablation's "[input,
600, 300]" is the latent size, though its title speaks of the hidden layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from repro.hyperparameters import Count, Dropout, Layers, Momentum, Natural, NonNegative, Share
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import drawn, gaussian_kl
from repro.nn.layers import SparseInput
from repro.nn.losses import linear_multinomial_nll
from repro.nn.schedules import cyclical, linear_clipped
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class MultVAE:
    """A variational autoencoder of user rows with a multinomial likelihood."""

    hidden_dims: Layers = (600,)
    """Encoder widths, starting from the input; the decoder mirrors them. [paper 4.3]"""
    latent_dim: Count = 200
    """Of z (code); 300 is the ablation's Table II. [code]"""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of the hidden layers; ReLU is the ablation's Table VII. [code]"""
    dropout: Dropout = 0.5
    """Share of the input that is dropped. [paper 4.3]"""
    beta: NonNegative = 0.2
    """Cap of the KL weight. [code]"""
    schedule: Literal["linear", "cyclical", "activity", "constant"] = "linear"
    """"linear": min(beta, step / anneal_steps). "cyclical": Fu et al. 2019. "activity": gamma times
    the user's interactions, not annealed. "constant": beta. [code]"""
    anneal_steps: Natural = 200_000
    """Updates until the weight would reach 1 (code); 0: it is beta from the start. [code; if
    schedule=linear]"""
    n_cycles: Count = 10
    """Of the cyclical schedule over all epochs (ablation, Section III.C). [other the ablation,
    III.C; if schedule=cyclical]"""
    cycle_ratio: Share = 0.5
    """Share of a cycle in which the weight rises. [other the ablation, III.C; if
    schedule=cyclical]"""
    cycle_cap: Literal["clip", "scale", "replace"] = "clip"
    """How beta caps a cycle that rises to 1: clip the weight, scale it, or replace only the ones;
    the ablation's text allows all three for its Table V. [ours; if schedule=cyclical]"""
    cycle_unit: Literal["epoch", "update"] = "epoch"
    """How often the weight changes in a cycle; Fu et al.'s helper gives one value per epoch. [ours;
    other Fu et al. 2019; if schedule=cyclical]"""
    gamma: NonNegative = 0.005
    """KL weight per interaction of the user (ablation, Table VI). [other the ablation, Table VI; if
    schedule=activity]"""
    gamma_cap: NonNegative | None = None
    """The largest of these weights; the ablation names none: 500 interactions have 2.5. [other the
    ablation; if schedule=activity]"""
    optimizer: Literal["adam", "sgd"] = "adam"
    """SGD is for the ablation's Table VIII, which states no learning rate. [code]"""
    momentum: Momentum = 0.0
    """SGD's; the ablation states none, and its Eq. 10 has none. [other the ablation, Eq. 10; if
    optimizer=sgd]"""
    learning_rate: NonNegative = 0.001
    """Of either optimiser: the code's for Adam, kept for SGD. [code]"""
    batch_size: Count = 500
    """Users. [code]"""
    n_epochs: Natural = 200
    """In the code, and in the ablation (its Section III). [code]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["MultVAENet"]:
        """Maximise the annealed evidence lower bound, every user once per epoch."""
        net = MultVAENet(train.n_items, self).to(run.device)
        optimizer = self._optimizer(net)
        batches = UserRows(train, self.batch_size, run.device)
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            for step, x in enumerate(batches, start=epoch * len(batches)):
                optimizer.zero_grad()  # before the likelihood makes new gradients
                nll, kl = net(x)
                beta = self._weight(step, len(batches), x)
                loss = nll + (beta * kl).mean()  # Eq. 6
                loss.backward()
                optimizer.step()
                mean_beta = beta.mean() if isinstance(beta, Tensor) else beta
                run.log(loss=loss, nll=nll, beta=mean_beta)
            yield net

    def _optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "sgd":
            return torch.optim.SGD(net.parameters(), self.learning_rate, self.momentum)
        return torch.optim.Adam(net.parameters(), self.learning_rate, fused=True)

    def _weight(self, step: int, n_steps: int, x: Rows) -> float | Tensor:
        """Return the KL weight of an update: one number, or one per user, shape (B,)."""
        if self.schedule == "activity":
            weight = self.gamma * x.count
            return weight if self.gamma_cap is None else weight.clamp(max=self.gamma_cap)
        if self.schedule == "constant":
            return self.beta
        if self.schedule == "linear":
            return linear_clipped(step, self.anneal_steps, self.beta)
        at, n = step, self.n_epochs * n_steps
        if self.cycle_unit == "epoch":
            at, n = step // n_steps, self.n_epochs
        return cyclical(at, n, self.n_cycles, self.cycle_ratio, self.beta, self.cycle_cap)


class MultVAENet(nn.Module):
    """I -> hidden -> (mean, log variance) -> z -> hidden -> I."""

    def __init__(self, n_items: int, model: MultVAE) -> None:
        super().__init__()
        widths = model.hidden_dims
        act = nn.Tanh if model.activation == "tanh" else nn.ReLU
        self.input = SparseInput(n_items, widths[0], model.dropout)
        encoder: list[nn.Module] = [act()]
        for before, after in pairwise(widths):
            encoder += [nn.Linear(before, after), act()]
        encoder += [nn.Linear(widths[-1], 2 * model.latent_dim)]
        self.encoder = nn.Sequential(*encoder)
        decoder: list[nn.Module] = []
        for before, after in pairwise([model.latent_dim, *reversed(widths)]):
            decoder += [nn.Linear(before, after), act()]
        self.decoder = nn.Sequential(*decoder, nn.Linear(widths[0], n_items))
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.trunc_normal_(parameter, std=0.001, a=-0.002, b=0.002)
            else:
                nn.init.xavier_uniform_(parameter)

    def encode(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), shape (B, D) each."""
        mean, logvar = self.encoder(self.input(x)).chunk(2, dim=1)
        return mean, logvar

    def forward(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return the mean negative log-likelihood of a sampled z, and each user's KL term, (B,)."""
        mean, logvar = self.encode(x)
        z = drawn(mean, logvar)
        *hidden, output = self.decoder
        for layer in hidden:
            z = layer(z)
        assert isinstance(output, nn.Linear)
        nll = linear_multinomial_nll(z, output.weight, output.bias, x)
        return nll, gaussian_kl(mean, logvar)

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits at the posterior mean, shape (B, I) or (B, C)."""
        x = rows_of(queries.history, self.input.weight.device)
        return picked(self.decoder(self.encode(x)[0]), queries)


MODEL = MultVAE
