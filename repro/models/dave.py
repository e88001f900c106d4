"""DAVE: Yi et al., "Dual Adversarial Variational Embedding for Robust Recommendation", TKDE.

**Implements** Section 3 with Algorithm 1 (arXiv 2106.15779), and the variants of Section 4::

    DAVE, with D(x)                  the defaults
    DAVE-adv, with a KL divergence   regularizer = "kl"
    DAVE+aae, with points            stochastic = False
    with D(u, x), as Eq. 8 needs     regularizer = "conditional"
    unregularised                    regularizer_weight = 0.0

**Reference**: none; we found no code by the authors. The paper does not state the sizes of encoders
and decoders, the likelihood, the scale of its terms, Adam's learning rate, the epochs, or which
embedding is used at test time. "Our choice" marks the fields that fill these gaps.
**Deviations**: Equations 4 to 14 weigh all users alike, Algorithm 1 samples pairs. We sample pairs,
so active users and popular items weigh more in every term. The draw that D is trained on is also
used in line 9 of Algorithm 1. We do not follow two slips: Eq. 7 draws u from the prior, and line 8
has the users' weights in the items' loss.
**Findings**: Eq. 8 is the optimum of a discriminator of u and x, as in AVB (Mescheder et al. 2017),
but in Eq. 7 and Figure 1 it sees x alone. Its optimum is then log p(x) - log q(x), with q averaged
over the pairs' users. This pulls no single posterior towards the prior, only their aggregate: it is
the AAE of Eq. 18 with a Gaussian encoder. Sigma then goes to 0 (0.03 after seven epochs), as
nothing holds it up, so that the two are nearly the same. The scale of the terms matters. In a trial
before this code was written, on MovieLens 100K with one seed, a reconstruction summed over the
vector starved F (HR@10 fell from 0.48 to 0.28 in three epochs); averaged, it did not (0.62).
DAVE-adv's KL then also had to be divided by the vector's length, or the model collapsed (0.03; at
0.0008 of it 0.67). D(x) cost accuracy: 0.62 with weight 1, 0.66 with 0.01, 0.67 with 0; the paper
has 0.67.

Shape letters: U users, I items, B pairs, C candidates, D latent size, n a vector's length (I of a
user's, U of an item's).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from repro.errors import ReproError
from repro.hyperparameters import Count, Layers, Natural, NonNegative
from repro.interactions import Interactions, from_rows
from repro.model import Run
from repro.models._dave.pairs import Side, VectorInput, Vectors, pairs_nll, sampled_pairs_nll
from repro.nn.batches import Positives, Rows, rows_of, to_device
from repro.nn.gaussians import gaussian_kl
from repro.split import Queries

SCORED_PAIRS = 2**18  # at a time: their products of embeddings are 64 MiB at D = 64


@dataclass(frozen=True, kw_only=True)
class DAVE:
    """A user VAE and an item VAE with adversarial regularisation, and an MLP over both."""

    latent_dim: Count = 64
    """d; 32 on Yelp. [paper 4.1.4]"""
    hidden_dims: Layers = (200,)
    """Of both encoders; the smallest that works. [ours]"""
    decoder_hidden_dims: tuple[Count, ...] = ()
    """Of both decoders; empty: linear decoders, as in RecVAE. [ours]"""
    activation: Literal["tanh", "relu"] = "tanh"
    """Of encoders and decoders. [ours]"""
    normalize: bool = True
    """Whether input vectors are scaled to length 1; they have 18 to 2,000 ones. [ours]"""
    mask_target: bool = False
    """Whether a training pair is removed from both its input vectors, as it is missing from them at
    test time; the paper keeps it. In the trial HR@10 was 0.617 kept, 0.628 masked. [paper]"""
    reconstruction: Literal["mean", "sum"] = "mean"
    """How Bernoulli log-likelihoods are reduced over a vector; see Findings. [ours]"""
    decoder: Literal["full", "sampled"] = "full"
    """"sampled": an unbiased estimate from a vector's ones and some of its zeros, for vectors as
    long as Pinterest's; it is slower on short ones. [paper]"""
    sampled_entries: Count = 1000
    """Drawn per batch by "sampled". [ours; if decoder=sampled]"""
    regularizer: Literal["marginal", "conditional", "kl"] = "marginal"
    """D(x) as in the paper, D(u, x), or no D and the KL divergence to the prior in closed form. The
    last is divided by n where the reconstruction is: both are then 1/n of the ELBO's terms. [paper;
    not paper Eq. 8]"""
    regularizer_weight: NonNegative = 1.0
    """Of D's logit (Eq. 11) or of the KL divergence. The logit is not divided by n: with a mean
    reconstruction, 1 is n times its weight in Eq. 11. [ours; not paper Eq. 11]"""
    encoder_loss: Literal["logit", "non_saturating"] = "logit"
    """-D(x) (Eq. 11), or -log sigmoid(D(x)) as in an AAE (Makhzani et al. 2015). [paper Eq. 11]"""
    stochastic: bool = True
    """False: encoders give a point instead of mean and variance (Table 3: DAVE+aae). [paper]"""
    discriminator_dims: Layers = (50, 100)
    """Hidden layers of D_u and D_v (Section 4.1.4); ReLU is our choice. [paper 4.1.4]"""
    prediction_dims: Layers = (32, 32, 32)
    """Hidden layers of F, ReLU. [paper 4.1.4]"""
    prediction_weight: NonNegative = 1.0
    """Of F's loss, a mean over the pairs; Eq. 1 has no weights, Eq. 16 has a sum. [ours; not paper
    Eq. 16]"""
    n_negatives: Natural = 4
    """Per positive, drawn again in every epoch; 3 on ML-1M, 2 on Digital Music and Pinterest.
    [paper 4.1.4]"""
    batch_size: Count = 256
    """Pairs; 128 on Yelp and Digital Music. [paper 4.1.4]"""
    learning_rate: NonNegative = 0.001
    """Adam's; Section 4.1.4's "0.0001" follows the clause on RMSprop. [ours; not paper 4.1.4]"""
    discriminator_learning_rate: NonNegative = 0.0001
    """RMSprop's, for D_u and D_v. [paper 4.1.4]"""
    test_samples: Natural = 0
    """0: the means are used at test time; Section 4.2.2 does not say when it samples. Otherwise F's
    logit is averaged over so many draws. [ours]"""
    n_epochs: Natural = 50
    """At most. [ours]"""

    def __post_init__(self) -> None:
        if self.regularizer == "kl" and not self.stochastic:
            raise ReproError(
                "DAVE: stochastic = false gives points, and a point has no KL divergence",
                'use regularizer = "marginal" or "conditional", which work for points',
            )

    def epochs(self, train: Interactions, run: Run) -> Iterator["Trained"]:
        """Train D_u and D_v, then all the rest, on every batch of pairs (Algorithm 1)."""
        users, items = Vectors(train, run.device), Vectors(item_vectors(train), run.device)
        positives = Positives(train, self.batch_size, run.device)
        net = DAVENet(train.n_users, train.n_items, self).to(run.device)
        D = Discriminators(train.n_users, train.n_items, self).to(run.device)
        own = list(net.parameters())
        by_vae = torch.optim.Adam(own, self.learning_rate, fused=True)
        by_d = torch.optim.RMSprop(D.parameters(), self.discriminator_learning_rate)
        for _ in run.epochs(self.n_epochs, net=net, D=D, by_vae=by_vae, by_d=by_d):
            for u, v, label in positives.labelled(self.n_negatives):
                us = users.of(u, v, label, self.mask_target)
                vs = items.of(v, u, label, self.mask_target)
                q_u, q_v = net.user.encode(us), net.item.encode(vs)
                x, y = q_u.draw(), q_v.draw()  # (B, D) each
                if self.regularizer != "kl":
                    d_loss = D.u.loss(x.detach(), us) + D.v.loss(y.detach(), vs)
                    by_d.zero_grad()
                    d_loss.backward()
                    by_d.step()
                    run.log(d_loss=d_loss)
                    regularizer = self.fooled(D.u(x, us)) + self.fooled(D.v(y, vs))
                else:
                    regularizer = self.divergence(q_u, us) + self.divergence(q_v, vs)
                nll = net.user.nll(x, us) + net.item.nll(y, vs)
                prediction = binary_cross_entropy_with_logits(net.F(x * y)[:, 0], label)  # Eq. 16
                loss = nll + self.regularizer_weight * regularizer  # Eq. 11 and 14
                loss = loss + self.prediction_weight * prediction
                by_vae.zero_grad()
                loss.backward(inputs=own)  # through D, not into it
                by_vae.step()
                run.log(loss=loss, nll=nll, regularizer=regularizer, prediction=prediction)
                run.log(sigma_u=q_u.sigma.mean(), sigma_v=q_v.sigma.mean())
            yield Trained(net, users.all, items.all, self.test_samples)

    def fooled(self, logit: Tensor) -> Tensor:
        """Return an encoder's loss for D's logits, shape (B,)."""
        return (-logit if self.encoder_loss == "logit" else softplus(-logit)).mean()

    def divergence(self, q: "Posterior", side: Side) -> Tensor:
        """Return the mean KL divergence to the prior, on the scale of the reconstruction."""
        kl = gaussian_kl(q.mean, q.logvar).mean()
        return kl / side.n if self.reconstruction == "mean" else kl


def item_vectors(train: Interactions) -> Interactions:
    """Return the interaction vectors of the items, I rows over U users."""
    return from_rows(train.item, train.user, train.n_items, train.n_users, ordered=False)


class Posterior(NamedTuple):
    """Diagonal Gaussians; a point has sigma 0."""

    mean: Tensor
    """Shape (B, D)."""
    logvar: Tensor
    """Shape (B, D); -inf of a point."""

    @property
    def sigma(self) -> Tensor:
        """Standard deviations, shape (B, D)."""
        return (0.5 * self.logvar).exp()

    def draw(self) -> Tensor:
        """Return a draw from each: mu + sigma * epsilon, shape (B, D)."""
        return self.mean + self.sigma * torch.randn_like(self.mean)


def layers(widths: list[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers from width to width, each followed by an activation."""
    return [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), activation())]


class AVE(nn.Module):
    """UserAVE or ItemAVE without its D: inference network Q and probabilistic decoder G."""

    def __init__(self, n: int, model: DAVE) -> None:
        super().__init__()
        self.model = model
        act = nn.Tanh if model.activation == "tanh" else nn.ReLU
        hidden, d = list(model.hidden_dims), model.latent_dim
        self.input = VectorInput(n, hidden[0], model.normalize)
        parts = nn.Linear(hidden[-1], 2 * d if model.stochastic else d)
        self.encoder = nn.Sequential(act(), *layers(hidden, act), parts)
        self.decoder = nn.Sequential(*layers([d, *model.decoder_hidden_dims], act))
        self.output = nn.Linear([d, *model.decoder_hidden_dims][-1], n)

    def encode(self, side: Side) -> Posterior:
        """Return the posterior of each pair's vector; a shared vector is encoded once."""
        out = side.of_pairs(self.encoder(self.input(side)))
        if not self.model.stochastic:
            return Posterior(out, torch.full_like(out, -torch.inf))
        mean, logvar = out.chunk(2, dim=1)
        return Posterior(mean, logvar.clamp(-10.0, 10.0))

    def nll(self, x: Tensor, side: Side) -> Tensor:
        """Return -log g(vector | x), averaged over the pairs, for embeddings x, shape (B, D)."""
        h, G = self.decoder(x), (self.output.weight, self.output.bias)
        if self.model.decoder == "full":
            total = pairs_nll(h, *G, side)
        else:
            total = sampled_pairs_nll(h, *G, side, self.model.sampled_entries)
        return total / (len(x) * (side.n if self.model.reconstruction == "mean" else 1))


class DAVENet(nn.Module):
    """UserAVE and ItemAVE without discriminators, and F, which gives a pair's logit."""

    def __init__(self, n_users: int, n_items: int, model: DAVE) -> None:
        super().__init__()
        self.user, self.item = AVE(n_items, model), AVE(n_users, model)
        hidden = layers([model.latent_dim, *model.prediction_dims], nn.ReLU)
        self.F = nn.Sequential(*hidden, nn.Linear(model.prediction_dims[-1], 1))  # Eq. 15


class Discriminators(nn.Module):
    """D_u and D_v."""

    def __init__(self, n_users: int, n_items: int, model: DAVE) -> None:
        super().__init__()
        self.u, self.v = Discriminator(n_items, model), Discriminator(n_users, model)


class Discriminator(nn.Module):
    """D(x), or D(u, x), whose first layer also reads the interaction vector.

    At the optimum -D(x) is log q(x) - log p(x), whose mean under q is the KL divergence.
    """

    def __init__(self, n: int, model: DAVE) -> None:
        super().__init__()
        widths = list(model.discriminator_dims)
        self.embedding = nn.Linear(model.latent_dim, widths[0])
        self.condition: VectorInput | None = None
        if model.regularizer == "conditional":
            self.condition = VectorInput(n, widths[0], model.normalize)
        self.rest = nn.Sequential(nn.ReLU(), *layers(widths, nn.ReLU), nn.Linear(widths[-1], 1))

    def forward(self, x: Tensor, side: Side) -> Tensor:
        """Return logits, (..., B), of the embeddings, (..., B, D), coming from the prior."""
        h = self.embedding(x)
        if self.condition is not None:
            h = h + side.of_pairs(self.condition(side))
        return self.rest(h)[..., 0]

    def loss(self, x: Tensor, side: Side) -> Tensor:
        """Return the mean of -log sigmoid(D(x')) - log(1 - sigmoid(D(x))), x' from the prior."""
        prior, posterior = self(torch.stack([torch.randn_like(x), x]), side)  # (B,) each
        return (softplus(-prior) + softplus(posterior)).mean()  # Eq. 10 and 13, negated


@dataclass(frozen=True, eq=False)
class Trained:
    """Scores items for users from the vectors of their histories and the items' vectors.

    Parameters
    ----------
    net : DAVENet
        The network.
    users, items : Rows
        The training vectors: of all users over I items, and of all items over U users.
    samples : int
        `test_samples`.
    """

    net: DAVENet
    users: Rows
    items: Rows
    samples: int = 0

    def embeddings(self) -> dict[str, Tensor]:
        """Return [mu, sigma] of all users, (U, 2 D), and all items, (I, 2 D): Figures 3 and 4."""
        with torch.no_grad():
            q_u = self.net.user.encode(Side(self.users, self.users.user))
            both = {"users": q_u, "items": self._items}
            return {name: torch.cat([q.mean, q.sigma], dim=1) for name, q in both.items()}

    @cached_property
    def _items(self) -> Posterior:
        with torch.no_grad():
            return self.net.item.encode(Side(self.items, self.items.user))

    @torch.no_grad()
    def score(self, queries: Queries) -> Tensor:
        """Return F's logits, shape (B, I) or (B, C).

        If the queries bring vectors of the items, as for Figure 2, these are encoded.
        """
        device = self.items.item.device
        users = rows_of(queries.history, device)
        q_u, q_v = self.net.user.encode(Side(users, users.user)), self._items
        if queries.item_users is not None:
            items = rows_of(queries.item_users, device)
            q_v = self.net.item.encode(Side(items, items.user))
        chosen = None if queries.candidates is None else to_device(queries.candidates, device)
        if not self.samples:
            return self._logits(q_u.mean, q_v.mean, chosen)
        drawn = [self._logits(q_u.draw(), q_v.draw(), chosen) for _ in range(self.samples)]
        return torch.stack(drawn).mean(dim=0)

    def _logits(self, x: Tensor, y: Tensor, chosen: Tensor | None) -> Tensor:
        """Return F(x, y) for embeddings of B users, (B, D), and I items, (I, D)."""
        size = max(1, SCORED_PAIRS // (len(y) if chosen is None else chosen.shape[1]))
        parts = []
        for rows in torch.arange(len(x), device=x.device).split(size):
            own = y[None] if chosen is None else y[chosen[rows]]
            parts.append(self.net.F(x[rows, None] * own)[..., 0])
        return torch.cat(parts)


MODEL = DAVE
