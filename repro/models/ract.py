"""RaCT: Lobel et al., "RaCT: Toward Amortized Ranking-Critical Training for CF", ICLR 2020.

**Implements** the main model: Multi-VAE (Liang et al. 2018) as the actor, a critic that learns to
predict its NDCG@100, and three phases: actor, critic, both.
**Reference**: samlobel/RaCT_CF (authors), commit 63c55e8, read for facts: settings, the shared
mask, the critic's inputs and loss. We did not have the paper.
**Deviations**: phase 2 starts from the last actor of phase 1, in the code from the one that is best
on validation, which a model does not see here. In the authors' logs that is epoch 197 of 200 on
MovieLens 20M (validation NDCG@100 0.43299; the last has 0.43174), and the last on Netflix. An
incomplete last batch is trained on, in the code dropped. Adam's epsilon is torch's, as in Mult-VAE.
The code intends the statistics of the critic's inputs to move in phase 1 (`renormalize`), but its
layer is not trainable, and TensorFlow 1.10 to 1.14 does not update such a layer. The untrained
critic's error in the log of Netflix, 0.32 to 0.41, is also what raw inputs give (normalised inputs:
0.04 to 0.06).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from repro.hyperparameters import Count, Dropout, Layers, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import drawn, gaussian_kl
from repro.nn.layers import sparse_product
from repro.nn.losses import multinomial_nll
from repro.nn.schedules import linear_clipped
from repro.nn.scoring import picked, scoring
from repro.split import Queries

EPS = 0.001  # of the critic's renormalisation (TensorFlow's default)


@dataclass(frozen=True, kw_only=True)
class RaCT:
    """Mult-VAE, fine-tuned to raise the NDCG that a critic network predicts.

    The defaults are those of the authors' logged run on MovieLens 20M.
    """

    hidden_dim: Count = 600
    """Of the actor's encoder and decoder. [code]"""
    latent_dim: Count = 200
    """Of z. [code]"""
    dropout: Dropout = 0.5
    """Probability that an item is left out of the input; the items left out must be found.
    [code]"""
    beta: NonNegative = 0.2
    """Cap of the KL weight in phase 1 (code); there is no KL term in phase 3. [code]"""
    anneal_steps: Natural = 200_000
    """Updates until the weight would reach 1 (code); 0: it is beta from the start. [code]"""
    critic_dims: Layers = (100, 100, 10)
    """Hidden widths of the critic. [code]"""
    critic_l2: NonNegative = 0.0001
    """Times the critic's squared weights and biases, over the batch size, in its loss. [code]"""
    cutoff: Count = 100
    """Of the NDCG that the critic predicts. [code]"""
    renormalize: bool = True
    """Whether the statistics of the critic's inputs move in phase 1; otherwise inputs are raw.
    [paper; not code]"""
    learning_rate: NonNegative = 0.001
    """Of Adam in phase 1. [code]"""
    critic_learning_rate: NonNegative = 0.0001
    """Of Adam in phases 2 and 3. [code]"""
    joint_learning_rate: NonNegative = 0.000002
    """Of the actor's new Adam in phase 3. [code]"""
    batch_size: Count = 500
    """Users. [code]"""
    n_actor_epochs: Natural = 200
    """Phase 1; the authors' script has 100, their log on MovieLens 20M 200 and on Netflix 100.
    [code]"""
    n_critic_epochs: Natural = 50
    """Phase 2. [code]"""
    n_joint_epochs: Natural = 100
    """Phase 3; the script has 50, the log on MovieLens 20M 100 and on Netflix 50. [code]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["Actor"]:
        """Train the actor, then the critic, then both.

        The code selects among the actors of phase 3 and the last one before it. So phases 2 and 3
        are one phase of the run.
        """
        actor = Actor(train.n_items, self).to(run.device)
        critic = Critic(self).to(run.device)
        batches = UserRows(train, self.batch_size, run.device)
        adam = torch.optim.Adam(actor.parameters(), self.learning_rate, fused=True)
        run.phase("actor")
        for epoch in run.epochs(self.n_actor_epochs, actor=actor, critic=critic, adam=adam):
            for step, x in enumerate(batches, start=1 + epoch * len(batches)):
                keep = self.mask(x)
                logits, mean, logvar = actor(x, keep)  # (B, I), (B, D), (B, D)
                nll = multinomial_nll(logits, x)  # (B,)
                beta = linear_clipped(step, self.anneal_steps, self.beta)
                loss = (nll + beta * gaussian_kl(mean, logvar)).mean()
                adam.zero_grad()
                loss.backward()
                adam.step()
                if self.renormalize:
                    critic.observe(features(x, keep, nll.detach()))
                run.log(loss=loss, nll=nll.mean())
            yield actor

        joint_adam = torch.optim.Adam(actor.parameters(), self.joint_learning_rate, fused=True)
        critic_adam = torch.optim.Adam(critic.parameters(), self.critic_learning_rate, fused=True)
        parts = {"joint_adam": joint_adam, "critic_adam": critic_adam}  # the actor's Adam is new
        n_epochs = self.n_critic_epochs + self.n_joint_epochs
        if n_epochs:
            run.phase("critic")
        for epoch in run.epochs(n_epochs, actor=actor, critic=critic, **parts):
            both = epoch >= self.n_critic_epochs
            for x in batches:
                keep = self.mask(x)
                with torch.set_grad_enabled(both):
                    logits, _, _ = actor(x, keep)
                    nll = multinomial_nll(logits, x)
                target = unseen_ndcg(logits.detach(), x, keep, self.cutoff)  # (B,)
                predicted = critic(features(x, keep, nll))  # (B,)
                error = (predicted - target).square().mean()
                l2 = torch.stack([p.square().sum() for p in critic.parameters()]).sum()
                critic_loss = error + self.critic_l2 * l2 / self.batch_size
                critic_adam.zero_grad()
                critic_loss.backward(inputs=[*critic.parameters()], retain_graph=both)
                if both:  # both gradients are taken before either step
                    joint_adam.zero_grad()
                    (-predicted.mean()).backward(inputs=[*actor.parameters()])
                    joint_adam.step()
                critic_adam.step()
                run.log(nll=nll.mean(), ndcg=target.mean(), critic_error=error)
            if epoch >= self.n_critic_epochs - 1:
                yield actor

    def mask(self, x: Rows) -> Tensor:
        """Return which entries stay in the input, bool, shape (m,); the others are unseen."""
        return torch.rand(len(x.item), device=x.item.device) >= self.dropout


def features(x: Rows, keep: Tensor, nll: Tensor) -> Tensor:
    """Return the critic's inputs, shape (B, 3): items seen, items unseen, likelihood term.

    Parameters
    ----------
    x : Rows
        B whole rows, of m entries.
    keep : bool tensor, shape (m,)
        Which entries the actor has seen.
    nll : float tensor, shape (B,)
        The actor's multinomial term of the whole rows, without the KL term.
    """
    n_seen = torch.zeros_like(nll).index_add(0, x.row, keep.float())
    return torch.stack([n_seen, x.count - n_seen, nll], dim=1)


def unseen_ndcg(logits: Tensor, x: Rows, keep: Tensor, k: int) -> Tensor:
    """Return each user's NDCG@k on the unseen items, the seen ones masked; 0 if none; shape (B,).

    Parameters
    ----------
    logits : float tensor, shape (B, I)
        The actor's output, without gradients.
    x, keep, k
        As in `features`, and the cut-off.
    """
    k = min(k, x.n_items)
    scores, unseen = logits.clone(), torch.zeros_like(logits, dtype=torch.bool)
    scores[x.row, x.item] = scores[x.row, x.item].masked_fill(keep, -torch.inf)
    unseen[x.row, x.item] = ~keep
    hits = unseen.gather(1, scores.topk(k, dim=1).indices)  # (B, K)
    gains = 1.0 / torch.arange(2, k + 2, device=logits.device).log2()
    sums = gains.expand(k, k).tril().sum(dim=1)  # cumsum of floats is not reproducible on a GPU
    ideal = torch.cat([gains[:1], sums])  # of 0 to K unseen items; 0 have no hit
    return (hits * gains).sum(dim=1) / ideal[unseen.sum(dim=1).clamp(max=k)]


class Actor(nn.Module):
    """Multi-VAE with a given input mask: I -> H -> (mean, log variance) -> z -> H -> I."""

    def __init__(self, n_items: int, model: RaCT) -> None:
        super().__init__()
        hidden, latent = model.hidden_dim, model.latent_dim
        self.dropout = model.dropout
        self.input = nn.Parameter(torch.empty(n_items, hidden))
        self.bias = nn.Parameter(torch.empty(hidden))
        self.mean, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        layers = nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, n_items)
        self.decoder = nn.Sequential(*layers)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.trunc_normal_(parameter, std=0.001, a=-0.002, b=0.002)
            else:
                nn.init.xavier_uniform_(parameter)

    def encode(self, x: Rows, keep: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), shape (B, D) each.

        Whole rows are L2-normalised; then the entries to keep, shape (m,), are scaled up.
        """
        value = x.count[x.row].float().rsqrt()  # a binary row's L2 norm is sqrt(count)
        if keep is not None:
            value = value * keep / (1.0 - self.dropout)
        h = (sparse_product(x, self.input, value) + self.bias).tanh()  # (B, H)
        return self.mean(h), self.logvar(h)

    def forward(self, x: Rows, keep: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits of a sampled z, mean and log variance: (B, I), (B, D), (B, D)."""
        mean, logvar = self.encode(x, keep)
        return self.decoder(drawn(mean, logvar)), mean, logvar

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits at the posterior mean, shape (B, I) or (B, C)."""
        x = rows_of(queries.history, self.bias.device)
        return picked(self.decoder(self.encode(x)[0]), queries)


class Critic(nn.Module):
    """Three features of a user -> the actor's NDCG.

    The first layer is a batch renormalisation (Ioffe 2017) without scale and shift; its statistics
    are fixed while the critic is trained.
    """

    quick: Tensor  # fast moving averages of mean, deviation and their weight, shape (3, 3)
    slow: Tensor  # slow moving averages of mean and variance, made from these, shape (2, 3)

    def __init__(self, model: RaCT) -> None:
        super().__init__()
        self.register_buffer("quick", torch.zeros(3, 3))
        self.register_buffer("slow", torch.tensor([[0.0] * 3, [1.0] * 3]))
        self.layers = nn.ModuleList(nn.Linear(*dims) for dims in pairwise((3, *model.critic_dims)))
        self.output = nn.Linear(model.critic_dims[-1], 1)
        for layer in (*self.layers, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def observe(self, features: Tensor) -> None:
        """Move the statistics towards those of a batch, as TensorFlow's layer does."""
        var, mean = torch.var_mean(features, dim=0, correction=0)
        recent = torch.stack([mean, (var + EPS).sqrt(), torch.ones_like(mean)])
        mean, deviation, weight = self.quick.lerp_(recent, 0.01)
        now = torch.stack([mean / weight, (deviation / weight).square() - EPS])
        self.slow.lerp_(now, 0.001)

    def forward(self, features: Tensor) -> Tensor:
        """Return the predicted NDCG, shape (B,)."""
        mean, var = self.slow
        h = (features - mean) * (var + EPS).rsqrt()
        for layer in self.layers:
            h = relu(layer(h))
        return self.output(h)[:, 0].sigmoid()


MODEL = RaCT
