"""ACVAE: Xie et al., "Adversarial and Contrastive VAE for Sequential Recommendation", WWW 2021.

**Implements** Sections 3.2 to 3.6, and the ablations and corr of Section 4.6.
**Reference**: ACVAE/ACVAE-PyTorch (authors), commit 9a1dac6, read for facts. The defaults are its.
**Deviations** from the paper, as in that code: no softplus after the GRU (Eq. 11); learned noise,
added twice with shared weights; 1 x 1 convolutions and dropout around the causal one, whose filters
span all features; T sees single steps and has one output per dimension of z, averaged, each plus
half of z squared; log(1 - sigma(G)) for Eq. 12's log(sigma(1 - G)); the field `updates`.
From the code: two layers that it never uses (19,392 parameters) are left out. Its cut to the last
M + 1 items, before the split, is part of the protocol. The encoder reads up to the longest user of
the batch, not to M; decoder, T and G run on unpadded steps only. So only the order of sums differs:
z after a shorter user's end still serves as a negative.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, elu, gelu, pad, softplus
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import Optimizer

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Dropout, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.batches import sent
from repro.nn.gaussians import gaussian_kl
from repro.nn.schedules import linear_scaled
from repro.nn.scoring import picked, scoring
from repro.split import Queries

PIECE = 2**21  # logits at a time, 8 MiB: still in the cache when they are read again
SCORED_USERS = 256  # at a time: their encodings at all steps fit into memory


@dataclass(frozen=True, kw_only=True)
class ACVAE:
    """A sequential VAE with an adversarially learned KL term and a contrastive loss."""

    embedding_dim: Count = 128
    """Of items; also the width of the decoder's hidden layer. [paper 4.3; code]"""
    hidden_dim: Count = 100
    """Of GRU and encoder. [paper 4.3]"""
    latent_dim: Count = 64
    """Of z at each step. [paper 4.3]"""
    discriminator_dim: Count = 128
    """Width of T and G. [code]"""
    alpha: NonNegative = 0.05
    """Weight of the AVB term; 0 is Section 4.6's "w/o AVB": no T, but the noise stays. [code]"""
    beta: NonNegative = 0.1
    """Weight of the contrastive loss; 0 is Section 4.6's "w/o contrastive loss". Section 4.7 finds
    0.5 best on ML-1m. [code; not paper 4.7]"""
    alpha_anneal_steps: Natural = 0
    """Updates in which alpha rises from 0; 0: alpha is constant (code, which also has an unused
    value of 2,000,000). [code]"""
    posterior: Literal["implicit", "gaussian"] = "implicit"
    """"gaussian" is another reading of "w/o AVB": mean, variance, and alpha times the analytic KL.
    [paper; code]"""
    encoder: Literal["cnn", "fc"] = "cnn"
    """"fc" is Section 4.6's "w/o CNN": two linear layers with less dropout (code). [paper 3.4.2;
    code]"""
    filter_height: Count = 5
    """m of Section 3.4.2. [code]"""
    dropout: Dropout = 0.5
    """Of the embedding before the GRU, and in the CNN encoder. [code]"""
    light_dropout: Dropout = 0.2
    """In T, and in the encoder without CNN. [code]"""
    updates: Literal["code", "paper"] = "code"
    """"code": every batch updates everything: the VAE by AdamW, its encoder again and G by SGD, T
    by SGD. "paper": even batches update the VAE by Adam and G by SGD, odd ones T by SGD (Section
    4.3). [code; not paper 4.3]"""
    learning_rate: NonNegative | None = None
    """Of the VAE; None: 1e-3 as in the code, or 1e-4 as in the paper, by `updates`. [code; not
    paper 4.3]"""
    g_learning_rate: NonNegative | None = None
    """Of G and of the encoder's second update; None: 3e-4 as in the code, or 5e-4 as in the paper,
    by `updates`. [code; not paper 4.3]"""
    t_learning_rate: NonNegative = 0.0005
    """Of T. [paper 4.3; code]"""
    weight_decay: NonNegative = 0.01
    """Of the VAE: AdamW's in the code, Adam's L2 term in the paper. [paper 4.3; code]"""
    sgd_weight_decay: NonNegative = 0.1
    """Of T, of G and of the encoder's second update. [paper 4.3; code]"""
    test_latent: Literal["sample", "mean"] = "sample"
    """"sample": the noise stays on at test time (code); "mean": it is replaced by zeros. [code]"""
    log_corr: bool = False
    """Log `correlation` after every epoch. [technical]"""
    batch_size: Count = 64
    """Users. [code]"""
    n_epochs: Natural = 300
    """On ML-latest; 200 on ML-1m, 100 on ML-10m, 40 on Yelp. [paper 4.3]"""

    def memory(self, train: Interactions) -> Memory:
        """Return the need: all lists, padded to the longest, and a copy while they are read.

        Measured with a list of 3,006 items: 18.4 U T bytes for 20,000 users, 17.5 for 60,000.
        """
        padded = train.sequence_bytes()
        return Memory(process=2 * padded, device=padded)

    def epochs(self, train: Interactions, run: Run) -> Iterator["ACVAENet"]:
        """Train on every user's sequence once per epoch (Algorithm 1)."""
        if not train.ordered:
            raise UnsupportedError(
                "ACVAE needs interactions ordered in time, and this dataset's are not"
            )
        net = ACVAENet(train.n_items, self).to(run.device)
        T, G = Adversary(self).to(run.device), Discriminator(self).to(run.device)
        by_vae, by_g, by_t = self.optimizers(net, T, G)
        s, steps = padded(train, run.device), torch.from_numpy(train.counts) - 1
        users = (steps > 0).nonzero()[:, 0]
        has_t = self.alpha > 0 and self.posterior == "implicit"
        at_once = self.updates == "code" or not has_t
        for epoch in run.epochs(
            self.n_epochs, net=net, T=T, G=G, by_vae=by_vae, by_g=by_g, by_t=by_t
        ):
            batches = users[torch.randperm(len(users))].split(self.batch_size)
            for step, batch in enumerate(batches, start=epoch * len(batches)):
                x, target, own, length, following = ordered(s, steps, batch, net.padding)
                e, z, encoded = net(x)  # (B, T, E), (B, T, D), (B, T, D or 2 D)
                e_own, z_own, q = (v.flatten(0, 1).index_select(0, own) for v in (e, z, encoded))
                if at_once or step % 2 == 0:  # Eq. 13
                    nll = net.nll(z_own, target)
                    avb = contrast = nll.new_zeros(())
                    if self.alpha:
                        ratio = T(e_own, z_own).mean(1) if has_t else gaussian_kl(*q.chunk(2, 1))
                        alpha = linear_scaled(step, self.alpha_anneal_steps, self.alpha)
                        avb = alpha * ratio.sum()  # of (m,)
                    if self.beta:
                        match, other = G(e, z, length), G(e, z[following], length)  # (m,)
                        contrast = self.beta * contrastive(match, other)
                    loss = (nll + avb + contrast) / len(batch)
                    by_vae.zero_grad()
                    by_g.zero_grad()
                    loss.backward()
                    by_vae.step()
                    by_g.step()
                    terms = {"nll": nll, "avb": avb, "contrast": contrast}
                    run.log(loss=loss, **{k: v / len(batch) for k, v in terms.items()})
                if has_t and (at_once or step % 2 == 1):
                    t_loss = adversarial(T, e_own.detach(), z_own.detach()) / len(batch)
                    by_t.zero_grad()
                    t_loss.backward()
                    by_t.step()
                    run.log(t_loss=t_loss)
            if self.log_corr:
                run.log(**correlation(net, s))
            yield net

    def optimizers(self, net: "ACVAENet", t: nn.Module, g: nn.Module) -> tuple[Optimizer, ...]:
        """Return the optimizers of the VAE, of G, and of T."""
        code, decay, l2 = self.updates == "code", self.weight_decay, self.sgd_weight_decay
        usual = (0.001, 0.0003) if code else (0.0001, 0.0005)
        given = zip((self.learning_rate, self.g_learning_rate), usual, strict=True)
        rate, g_rate = (default if own is None else own for own, default in given)
        again = list(net.encoder.parameters()) if code else []
        adam = torch.optim.AdamW if code else torch.optim.Adam
        return (
            adam(net.parameters(), rate, weight_decay=decay, fused=True),
            torch.optim.SGD([*again, *g.parameters()], g_rate, weight_decay=l2),
            torch.optim.SGD(t.parameters(), self.t_learning_rate, weight_decay=l2),
        )


def padded(known: Interactions, device: torch.device) -> Tensor:
    """Return the sequences, padded behind their ends with item number I, shape (U, T)."""
    item = torch.from_numpy(known.sequences())
    behind = torch.arange(item.shape[1]) >= torch.from_numpy(known.counts)[:, None]
    return item.masked_fill(behind, known.n_items).to(device)


class Batch(NamedTuple):
    """Sequences of B users, longest first, cropped to the longest's T steps; m have a target."""

    x: Tensor  # (B, T) the items that are read; padding from a user's last step on
    target: Tensor  # (m,) the next item at each user's own steps
    own: Tensor  # (m,) which of the B x T steps those are
    length: Tensor  # (B,) how many steps a user has; on the host
    following: Tensor  # (B,) the user who came next before sorting


def ordered(s: Tensor, steps: Tensor, users: Tensor, padding: int) -> Batch:
    """Return the batch of the given users, from all sequences, shape (U, T + 1).

    The users and their numbers of steps are on the host: it knows all shapes without waiting for
    the device.
    """
    length, place = steps[users].sort(descending=True, stable=True)
    following = place.argsort()[(place + 1) % len(users)]
    own = (torch.arange(int(length[0])) < length[:, None]).flatten().nonzero()[:, 0]
    index = sent(torch.cat([users[place], following, own]), s.device)
    users, following, own = index.split([len(users), len(users), len(own)])
    s = s[users, : int(length[0]) + 1]
    x = s[:, :-1].masked_fill(s[:, 1:] == padding, padding)
    return Batch(x, s[:, 1:].flatten()[own], own, length, following)


class Encoder(nn.Module):
    """From the GRU's h to z, or to mean and log variance (Sections 3.4.2 and 3.4.3)."""

    def __init__(self, model: ACVAE) -> None:
        super().__init__()
        H, cnn = model.hidden_dim, model.encoder == "cnn"
        self.implicit, self.sample = model.posterior == "implicit", model.test_latent == "sample"
        self.noise = nn.Linear(H, H) if self.implicit else None
        self.first = nn.Linear(H, H)
        self.causal = nn.Conv1d(H, 2 * H, model.filter_height) if cnn else None
        self.second = nn.Linear(2 * H if cnn else H, H)
        self.dropout = nn.Dropout(model.dropout if cnn else model.light_dropout)
        self.output = nn.Linear(H, model.latent_dim if self.implicit else 2 * model.latent_dim)

    def epsilon(self, like: Tensor) -> Tensor:
        """Return noise of a tensor's shape; zeros at test time where the model says so."""
        noisy = self.training or self.sample
        return torch.randn_like(like) if noisy else torch.zeros_like(like)

    def add_noise(self, h: Tensor) -> Tensor:
        """Return Section 3.4.2's f of h and epsilon; a Gaussian encoder has no noise inside."""
        return h if self.noise is None else h + self.noise(self.epsilon(h)).tanh()

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, T, D), and the last layer's output: z, or (B, T, 2 D), for h (B, T, H)."""
        if self.causal is None:
            y = self.add_noise(softplus(self.first(h)))
            y = h + self.dropout(self.add_noise(softplus(self.second(y))))
        else:
            y = self.add_noise(softplus(self.first(self.add_noise(h)))).transpose(1, 2)
            y = pad(y, (self.causal.kernel_size[0] - 1, 0))  # in front only: no look-ahead
            y = softplus(self.causal(y)).transpose(1, 2)
            y = self.dropout(h + softplus(self.second(y)))
        out = self.output(y)
        if self.implicit:
            return out, out
        mean, logvar = out.chunk(2, dim=2)
        return mean + self.epsilon(mean) * (0.5 * logvar).exp(), out


class ACVAENet(nn.Module):
    """Items -> embedding e -> GRU -> encoder -> z -> decoder; item number I is padding."""

    def __init__(self, n_items: int, model: ACVAE) -> None:
        super().__init__()
        E, self.padding = model.embedding_dim, n_items
        self.item = nn.Embedding(n_items + 1, E)
        self.dropout = nn.Dropout(model.dropout)
        self.gru = nn.GRU(E, model.hidden_dim, batch_first=True)
        self.encoder = Encoder(model)
        before, after = nn.Linear(model.latent_dim, E), nn.Linear(E, n_items + 1)
        self.decoder = nn.Sequential(before, nn.Tanh(), after)
        nn.init.xavier_normal_(before.weight)
        nn.init.xavier_normal_(after.weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return e (B, T, E), z (B, T, D) and the encoder's last output, of items (B, T)."""
        e = self.item(x)
        return e, *self.encoder(self.gru(self.dropout(e))[0])

    def nll(self, z: Tensor, target: Tensor) -> Tensor:
        """Return the negative log-likelihood of the next items, summed over m steps."""
        n = max(1, PIECE // (self.padding + 1))
        pieces = zip(z.split(n), target.split(n), strict=True)
        sums = [cross_entropy(self.decoder(a), b, reduction="sum") for a, b in pieces]
        return torch.stack(sums).sum()

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits after the last item of each history, shape (B, I) or (B, C)."""
        parts = padded(queries.history, self.item.weight.device).split(SCORED_USERS)
        last = [(s != self.padding).sum(dim=1).clamp(min=1) - 1 for s in parts]
        z = [self(s)[1][torch.arange(len(s)), t] for s, t in zip(parts, last, strict=True)]
        return picked(self.decoder(torch.cat(z))[:, :-1], queries)


class Adversary(nn.Module):
    """T: estimates the log ratio of posterior and prior at each step, with D outputs."""

    def __init__(self, model: ACVAE) -> None:
        super().__init__()
        W, D = model.discriminator_dim, model.latent_dim
        self.input = nn.Linear(model.embedding_dim + D, W)
        blocks = (nn.Sequential(nn.Linear(W, W), nn.Linear(W, W)) for _ in range(2))
        self.blocks = nn.ModuleList(blocks)
        self.output = nn.Linear(W, D)
        self.dropout = nn.Dropout(model.light_dropout)

    def forward(self, e: Tensor, z: Tensor) -> Tensor:
        """Return estimates of shape (m, D), from e, shape (m, E), and z, shape (m, D)."""
        x = self.dropout(self.input(torch.cat([e, z], dim=1)))
        for block in self.blocks:
            x = elu(x + block(x))
        return self.dropout(self.output(x)) + 0.5 * z.square()


class Discriminator(nn.Module):
    """G: tells at each step whether items and latent variables belong to the same user."""

    def __init__(self, model: ACVAE) -> None:
        super().__init__()
        self.gru = nn.GRU(model.embedding_dim + model.latent_dim, model.discriminator_dim)
        self.output = nn.Linear(model.discriminator_dim, 1)

    def forward(self, e: Tensor, z: Tensor, length: Tensor) -> Tensor:
        """Return a logit per step, shape (m,), all users' first steps first; `length` descends."""
        packed = pack_padded_sequence(torch.cat([e, z], dim=2), length, batch_first=True)
        return self.output(gelu(self.gru(packed)[0].data))[:, 0]


def adversarial(t: nn.Module, e: Tensor, z: Tensor) -> Tensor:
    """Return T's loss, summed over m steps (Eq. 7); the 1e-9 is the code's."""
    drawn, prior = t(e, z).sigmoid(), (-t(e, torch.randn_like(z))).sigmoid()
    return -((drawn + 1e-9).log() + (prior + 1e-9).log()).mean(dim=1).sum()


def contrastive(match: Tensor, other: Tensor) -> Tensor:
    """Return the contrastive loss, summed over m steps (Eq. 12)."""
    return (softplus(-match) + softplus(other)).sum()


@torch.no_grad()
def correlation(net: ACVAENet, s: Tensor) -> dict[str, Tensor]:
    """Return corr (Eq. 14): the sum of squares of C - I, at most D (D - 1).

    C is the Pearson correlation matrix of z's dimensions; the paper does not say over which sample.
    Here all users' training sequences, shape (U, T), are read as at test time: "corr_last" is over
    z after each user's last item, "corr_all" over z after every item. The noise has a random state
    of its own, so that logging does not change training.
    """
    last: list[Tensor] = []
    every: list[Tensor] = []
    net.eval()
    with torch.random.fork_rng():
        for x in s.split(SCORED_USERS):
            z, there = net(x)[1], x != net.padding
            last.append(z[there & ~pad(there[:, 1:], (0, 1))])
            every.append(z[there])
    net.train()
    c = {
        "corr_last": torch.corrcoef(torch.cat(last).T),
        "corr_all": torch.corrcoef(torch.cat(every).T),
    }
    return {name: matrix.fill_diagonal_(0.0).square().sum() for name, matrix in c.items()}


MODEL = ACVAE
