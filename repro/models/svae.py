"""SVAE: Sachdeva et al., "Sequential Variational Autoencoders for CF", WSDM 2019.

**Implements** Section 3: a GRU over the sequence, a latent variable per step, the next k items as
targets. **Reference**: noveens/svae_cf (authors), read for facts.
**Deviations** from that code are fields where they can change a result. The code reads the
encoder's second output as a log standard deviation when it samples z, and as a log variance in the
KL term (`log_sigma = "code"`; the paper has one meaning, "consistent"). The code's KL weight starts
again in every epoch, as its count of updates does (`anneal = "epoch"`), so that 604 users end at
0.003 and not at 0.2. It updates on one user at a time; `batch_size` averages over more. At test
time it samples z (`test_latent`) and reads all known items but the last (`test_history`). It does
not mask that item; here the evaluation masks all known items, and no field changes that. As in the
code, a user's likelihood is summed over steps and divided by the number of ones in the first step's
target, which is `next_k` except for the shortest sequences; the KL term is a mean over steps.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Memory, Run
from repro.nn.batches import sent, to_device
from repro.nn.gaussians import gaussian_kl
from repro.nn.schedules import linear_clipped
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class SVAE:
    """A recurrent VAE: each step's latent variable predicts the next items."""

    embedding_dim: Count = 256
    """Of items. [code]"""
    hidden_dim: Count = 200
    """Of the GRU. [code]"""
    dense_dim: Count = 150
    """Of the layers before and after the latent variable. [code]"""
    latent_dim: Count = 64
    """Of z at each step. [code]"""
    next_k: Count = 4
    """How many of the next items each step predicts; 4 on ML-1M. [paper 4.5]"""
    beta: NonNegative = 0.2
    """Cap of the KL weight. [code]"""
    anneal_steps: Natural = 200_000
    """Updates until the weight would reach 1; it stops at beta. 0: it is beta from the start.
    [code]"""
    anneal: Literal["run", "epoch"] = "run"
    """Whether updates are counted over the run, or from 0 in every epoch, as in the code. [paper;
    not code]"""
    log_sigma: Literal["code", "consistent"] = "code"
    """"code": the KL term reads the log standard deviation as a log variance. "consistent": it does
    not. [code; not paper]"""
    test_latent: Literal["sample", "mean"] = "sample"
    """Whether z is drawn at test time, as in the code, or is its mean. [code]"""
    test_history: Literal["whole", "without_last"] = "whole"
    """Which known items are read. "whole": all of them. "without_last": all but the newest, as in
    the code (`iter_eval`), which thus scores a step that is already known. In both cases the
    evaluation, not the model, masks all known items. [ours; not code]"""
    learning_rate: NonNegative = 0.001
    """Adam's. [code]"""
    weight_decay: NonNegative = 0.005
    """Adam's L2 term. [code]"""
    batch_size: Count = 1
    """Users; one in the code. [code]"""
    n_epochs: Natural = 25
    """40 to 300 in ACVAE's paper (its Section 4.3). [code]"""

    def memory(self, train: Interactions) -> Memory:
        """Return the need: all lists, padded to the longest, and a copy while they are read.

        Measured with a list of 3,006 items: 17.4 U T bytes for 20,000 users, 16.5 for 60,000.
        """
        padded = train.sequence_bytes()
        return Memory(process=2 * padded, device=padded)

    def epochs(self, train: Interactions, run: Run) -> Iterator["SVAENet"]:
        """Train on every user's sequence once per epoch."""
        if not train.ordered:
            raise UnsupportedError(
                "SVAE needs interactions ordered in time, and this dataset's are not"
            )
        net = SVAENet(train.n_items, self).to(run.device)
        optimizer = torch.optim.Adam(
            net.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        sequence = to_device(train.sequences(), run.device)
        length = torch.from_numpy(train.counts)  # on the host: sizes are known without waiting
        users = (length > 1).nonzero()[:, 0]
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            batches = users[torch.randperm(len(users))].split(self.batch_size)
            before = epoch * len(batches) if self.anneal == "run" else 0
            for step, batch in enumerate(batches, start=before):
                s = sequence[sent(batch, run.device), : int(length[batch].max())]  # (B, T)
                nll, kl = net.loss(s, length[batch])  # (B,) each
                beta = linear_clipped(step, self.anneal_steps, self.beta)
                loss = (nll + beta * kl).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log(loss=loss, nll=nll.mean())
            yield net


class SVAENet(nn.Module):
    """Items -> GRU -> (mean, log sigma) per step -> z -> the next items."""

    def __init__(self, n_items: int, model: SVAE) -> None:
        super().__init__()
        self.model = model
        self.item = nn.Embedding(n_items, model.embedding_dim)
        self.gru = nn.GRU(model.embedding_dim, model.hidden_dim, batch_first=True)
        self.encoder = nn.Sequential(
            nn.Linear(model.hidden_dim, model.dense_dim),
            nn.Tanh(),
            nn.Linear(model.dense_dim, 2 * model.latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(model.latent_dim, model.dense_dim),
            nn.Tanh(),
            nn.Linear(model.dense_dim, n_items),
        )
        for part in (self.encoder, self.decoder):
            for layer in part:
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_normal_(layer.weight)

    def loss(self, s: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Return each user's likelihood and KL terms, shape (B,) each.

        Parameters
        ----------
        s : int64 tensor, shape (B, T)
            Item sequences, oldest first; entries after a sequence's end are not read.
        length : int64 tensor, shape (B,)
            Their lengths, at least 2; on the host, so that it need not wait for the device.
        """
        n_steps = s.shape[1] - 1
        h, _ = self.gru(self.item(s[:, :-1]))  # (B, T - 1, H)
        valid = torch.arange(n_steps) < (length - 1)[:, None]  # (B, T - 1)
        steps = sent(torch.cat([length, *valid.nonzero(as_tuple=True)]), s.device)
        length, row, t = steps[: len(s)], *steps[len(s) :].chunk(2)
        mean, log_sigma = self.encoder(h[row, t]).chunk(2, dim=1)  # (m, D) each
        z = mean + torch.randn_like(mean) * log_sigma.exp()
        logits = self.decoder(z)  # (m, I)
        ahead = t[:, None] + torch.arange(1, self.model.next_k + 1, device=s.device)  # (m, k)
        target = s[row[:, None], ahead.clamp(max=n_steps)]
        again = (target[:, :, None] == target[:, None]).tril(-1).any(dim=2)  # repeats count once
        there = (ahead < length[row, None]) & ~again
        n_there = there.sum(dim=1, dtype=torch.float32)
        own = (logits.gather(1, target) * there).sum(dim=1)
        nll = n_there * logits.logsumexp(dim=1) - own  # (m,)
        kl = gaussian_kl(mean, log_sigma if self.model.log_sigma == "code" else 2 * log_sigma)
        zeros = torch.zeros(len(s), device=s.device)
        n_first = zeros.index_add(0, row, n_there * (t == 0))  # ones in the first step's target
        return zeros.index_add(0, row, nll) / n_first, zeros.index_add(0, row, kl) / (length - 1)

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the logits after the last item read of each history, shape (B, I) or (B, C)."""
        device = self.item.weight.device
        s = to_device(queries.history.sequences(), device)
        length = to_device(queries.history.counts, device)
        if self.model.test_history == "without_last":
            length = length - 1
        h, _ = self.gru(self.item(s))
        last = h[torch.arange(len(s), device=device), (length - 1).clamp(min=0)]
        last = last * (length > 0)[:, None]  # without a history: the GRU's initial state
        mean, log_sigma = self.encoder(last).chunk(2, dim=1)
        if self.model.test_latent == "sample":
            mean = mean + torch.randn_like(mean) * log_sigma.exp()
        return picked(self.decoder(mean), queries)


MODEL = SVAE
