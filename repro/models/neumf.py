"""NeuMF: He et al., "Neural Collaborative Filtering", WWW 2017.

**Implements** Sections 3.2 to 3.4: GMF and an MLP tower on separate embeddings, fused in one output
unit, with the pre-training of Section 3.4.1.
**Reference**: hexiangnan/neural_collaborative_filtering, commit 4aab159, read for facts.
**Deviations**: the code keeps the epoch that is best on *test*, also in pre-training; here the
table's `select` decides, and pre-training has a fixed length. After pre-training the paper uses
plain SGD; the code leaves the choice (`finetune`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from repro.hyperparameters import Count, Layers, Natural, NonNegative
from repro.interactions import Interactions
from repro.model import Run
from repro.nn.batches import Positives, to_device
from repro.nn.scoring import known_users, scoring
from repro.split import Queries

SCORED_USERS = 64  # at a time: their tower activations for all items fit into memory


@dataclass(frozen=True, kw_only=True)
class NeuMF:
    """Generalised matrix factorisation and an MLP, fused in one output unit."""

    gmf_dim: Count = 8
    """Size of the GMF embeddings, the "predictive factors". [code README]"""
    mlp_dims: Layers = (64, 32, 16, 8)
    """Tower widths; the first is of the joined user and item embeddings. [code README]"""
    n_negatives: Natural = 4
    """Per positive, drawn again in every epoch. [paper 4.1]"""
    learning_rate: NonNegative = 0.001
    """Adam's. [paper 4.1]"""
    batch_size: Count = 256
    """Positives and negatives. [code]"""
    n_epochs: Natural = 20
    """With pre-training, the epochs after it. [code README]"""
    n_pretrain_epochs: Natural = 0
    """Epochs of GMF alone and of the MLP alone before they are joined; 0: no pre-training. [code
    README]"""
    finetune: Literal["sgd", "adam"] = "sgd"
    """Optimiser after pre-training. [paper 3.4.1; if n_pretrain_epochs]"""
    finetune_learning_rate: NonNegative = 0.001
    """Of that optimiser; Ferrari Dacrema et al. 2021 use the same for SGD. [other Ferrari Dacrema
    et al. 2021; if n_pretrain_epochs]"""

    KNOWN_USERS_ONLY: ClassVar[bool] = True

    def epochs(self, train: Interactions, run: Run) -> Iterator["NeuMFNet"]:
        """Train GMF, the MLP and their fusion; only the fusion scores."""
        positives = Positives(train, self.batch_size, run.device)
        net = NeuMFNet(train, self).to(run.device)
        optimizer = self._adam(net, self.learning_rate)
        if self.n_pretrain_epochs:
            halves: dict[str, NeuMFNet] = {}  # a resumed second loop needs the first half, too
            for part in ("gmf", "mlp"):
                run.phase(f"pretrain {part}")
                halves[part] = half = NeuMFNet(train, self, only=part).to(run.device)
                adam = self._adam(half, self.learning_rate)
                for _ in run.epochs(self.n_pretrain_epochs, optimizer=adam, **halves):
                    self._epoch(half, adam, positives, run)
            net.join(**halves)
            if self.finetune == "sgd":
                optimizer = torch.optim.SGD(net.parameters(), self.finetune_learning_rate)
            else:
                optimizer = self._adam(net, self.finetune_learning_rate)
        run.phase("train")
        for _ in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            self._epoch(net, optimizer, positives, run)
            yield net

    def _adam(self, net: nn.Module, rate: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(net.parameters(), rate, fused=True)

    def _epoch(
        self, net: "NeuMFNet", optimizer: torch.optim.Optimizer, positives: Positives, run: Run
    ) -> None:
        for u, i, label in positives.labelled(self.n_negatives):
            loss = binary_cross_entropy_with_logits(net(u, i), label)  # Eq. 7
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)


class NeuMFNet(nn.Module):
    """GMF and MLP side by side, or with `only` one of them, as in pre-training."""

    def __init__(self, train: Interactions, model: NeuMF, only: str = "") -> None:
        super().__init__()
        self.only = only
        dim, mlp = model.gmf_dim, model.mlp_dims
        self.gmf_user = nn.Embedding(train.n_users, dim)
        self.gmf_item = nn.Embedding(train.n_items, dim)
        self.mlp_user = nn.Embedding(train.n_users, mlp[0] // 2)
        self.mlp_item = nn.Embedding(train.n_items, mlp[0] // 2)
        tower: list[nn.Module] = []
        for before, after in pairwise(mlp):
            tower += [nn.Linear(before, after), nn.ReLU()]
        self.tower = nn.Sequential(*tower)
        inputs = {"gmf": dim, "mlp": mlp[-1]}
        self.output = nn.Linear(inputs[only] if only else sum(inputs.values()), 1)
        for embedding in (self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item):
            nn.init.normal_(embedding.weight, std=0.01)
        bound = (3.0 / self.output.in_features) ** 0.5
        nn.init.uniform_(self.output.weight, -bound, bound)  # LeCun's, as in the code
        nn.init.zeros_(self.output.bias)
        for layer in self.tower:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def join(self, gmf: "NeuMFNet", mlp: "NeuMFNet") -> None:
        """Copy pre-trained parts, with output weights and bias at half strength (Eq. 13)."""
        self.gmf_user.load_state_dict(gmf.gmf_user.state_dict())
        self.gmf_item.load_state_dict(gmf.gmf_item.state_dict())
        self.mlp_user.load_state_dict(mlp.mlp_user.state_dict())
        self.mlp_item.load_state_dict(mlp.mlp_item.state_dict())
        self.tower.load_state_dict(mlp.tower.state_dict())
        with torch.no_grad():
            self.output.weight.copy_(0.5 * torch.cat([gmf.output.weight, mlp.output.weight], 1))
            self.output.bias.copy_(0.5 * (gmf.output.bias + mlp.output.bias))

    def forward(self, u: Tensor, i: Tensor) -> Tensor:
        """Return the logit of each pair, in the shape to which u and i broadcast."""
        parts = []
        if self.only != "mlp":
            parts.append(self.gmf_user(u) * self.gmf_item(i))
        if self.only != "gmf":
            user, item = torch.broadcast_tensors(self.mlp_user(u), self.mlp_item(i))
            parts.append(self.tower(torch.cat([user, item], dim=-1)))
        return self.output(torch.cat(parts, dim=-1))[..., 0]

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return logits of shape (B, I) or (B, C)."""
        device = self.output.weight.device
        u = known_users(queries, device, "NeuMF")[:, None]
        if queries.candidates is not None:
            return self(u, to_device(queries.candidates, device))
        items = torch.arange(self.gmf_item.num_embeddings, device=device)
        return torch.cat([self(row, items[None]) for row in u.split(SCORED_USERS)])


MODEL = NeuMF
