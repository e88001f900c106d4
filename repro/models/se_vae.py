"""SE-VAE: Cho & Oh, "Stochastic-Expert Variational Autoencoder for CF", WWW 2022.

"CF" is "Collaborative Filtering" in the title. The paper puts experts into the VAEs of EVCF: Kim &
Suh, "Enhancing VAEs for Collaborative Filtering: Flexible Priors & Gating Mechanisms", RecSys 2019.
With one expert this model is EVCF itself: Multi-VAE or H+Vamp, gated or not. Ids and records still
call it "evcf", its earlier name here, so that old records stay valid (`repro.plugins` renames it).

**Implements** SE-VAE's experts (Sections 3.1 to 3.3) on EVCF's Multi-VAE and on its hierarchical
VampPrior model (H+Vamp), and the controls of Section 5.3: K = 600, the mixture of experts, a
separate encoder for every expert.
**Reference**: we could not find SE-VAE's code: its experts follow the paper, and every point that
the paper leaves open is a field. The rest follows psywaves/EVCF (authors), commit 4a7b66a, read for
facts: widths, initialisation, the optimizer, the KL estimate. It has no licence.
**Deviations** from SE-VAE's text: Section 3.3 has KL terms in closed form, while EVCF's code, which
Section 4.1 follows, estimates them from a sample (`kl`); Algorithm 1 says SGD. From EVCF's code:
H+Vamp with one hidden layer, a different network there, is refused. So is a Bernoulli likelihood
with experts, which would need a choice for every item and not only for every click. The code stops
early only from epoch 100 on, when beta has reached its cap, after more than 50 epochs without a
better validation score; here stopping belongs to the table (`patience_from`). The code's option to
start from training rows as pseudo-inputs is left out. For Adam's epsilon see `NormalizedAdam`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from repro.errors import UnsupportedError
from repro.hyperparameters import Count, Dropout, Natural, NonNegative, Positive
from repro.interactions import Interactions
from repro.model import Run
from repro.models._se_vae.experts import Experts
from repro.models._se_vae.gated import (
    Entries,
    GaussianHeads,
    ItemLinear,
    Joint,
    Layer,
    beside,
    he_normal,
    layers,
    normalized,
)
from repro.models._se_vae.optimizers import NormalizedAdam
from repro.models._se_vae.vamp import PseudoInputs, vamp_log_density
from repro.nn.batches import Rows, UserRows, rows_of
from repro.nn.gaussians import Gaussian, divergence, drawn, normal_log_density, standard
from repro.nn.losses import bernoulli_nll
from repro.nn.schedules import linear_scaled
from repro.nn.scoring import picked, scoring
from repro.split import Queries


@dataclass(frozen=True, kw_only=True)
class SEVAE:
    """A VAE with stochastic experts; with one expert it is EVCF's Multi-VAE or H+Vamp.

    The defaults are EVCF's H+Vamp (Gated); `expert` = "stochastic" makes it SE-VAE.
    """

    family: Literal["hvamp", "multi_vae"] = "hvamp"
    """"hvamp": latent variables z2 and z1, with a VampPrior over z2. "multi_vae": one z, with the
    prior N(0, I). [code]"""
    gated: bool = True
    """Whether hidden layers are (W x + b) * sigmoid(V x + c), without a tanh. [code]"""
    n_layers: Count = 2
    """Hidden layers of every network; H+Vamp has at least 2. [paper 5.2; code]"""
    hidden_dim: Count = 600
    """Of every hidden layer. [paper 4.1; code]"""
    latent_dim: Count = 200
    """K, of z or of both z2 and z1. [paper 4.1]"""
    dropout: Dropout = 0.5
    """Share of the input that is dropped (code), also of the pseudo-inputs. [code]"""
    n_pseudo_inputs: Count = 1000
    """Components of the VampPrior. [code; if family=hvamp]"""
    pseudo_input_mean: float = 0.05
    """Mean of their initial entries (code), before these are clipped to [0, 1]. [code; if
    family=hvamp]"""
    pseudo_input_std: NonNegative = 0.01
    """Standard deviation of their initial entries. [code; if family=hvamp]"""
    likelihood: Literal["multinomial", "bernoulli"] = "multinomial"
    """EVCF took the better one per model and data set: "bernoulli" for H+Vamp (Gated) on Netflix
    (README), otherwise unpublished. SE-VAE's Section 3.1 is multinomial. [ours]"""
    beta: NonNegative = 0.2
    """KL weight after the warm-up; 0.3 on Netflix (README), otherwise unpublished. [ours]"""
    warmup_epochs: Natural = 100
    """Epochs in which the KL weight rises; in the first it is beta / warmup_epochs. [code]"""
    kl: Literal["sample", "analytic"] = "sample"
    """Whether KL terms between Gaussians are estimated from the sample of z (code) or in closed
    form (SE-VAE, Section 3.3). The VampPrior's is always an estimate. [code; not paper 3.3]"""
    expert: Literal["none", "stochastic", "mixture"] = "none"
    """"stochastic": SE-VAE. "mixture": the control of its Section 5.3, which does not define it:
    the same networks, with the log of the mixture. "none": one expert. [code]"""
    n_experts: Count = 3
    """M. [paper 4.1; if expert=stochastic|mixture]"""
    select: Literal["click", "user", "expected"] = "click"
    """What an expert is drawn for: every click (Section 3.1), every user (Eq. 5), or nothing: its
    probability weighs the likelihood. With `hard` the expected objective is the same for all.
    [paper 3.1; not paper Eq. 5; if expert=stochastic]"""
    temperature: Positive = 1.0
    """Of the Gumbel-softmax; the paper gives none. [ours; if expert=stochastic]"""
    hard: bool = True
    """Whether the choice is one-hot in training (Section 3.3), with the gradient of the soft choice
    (the paper gives none). [paper 3.3; if expert=stochastic]"""
    selector: Literal["own", "trunk"] = "own"
    """Whether the network of w reads the input itself, with one hidden layer, or is a pair of heads
    on the (first) encoder's hidden units. Section 3.3 says "additional". [ours; if
    expert=stochastic|mixture]"""
    selector_kl_weight: NonNegative = 1.0
    """Of w's KL term, times the KL weight. [paper Eq. 4; if expert=stochastic|mixture]"""
    experts_kl: Literal["sum", "mean"] = "sum"
    """How the experts' KL terms are combined (in Eq. 4, z stands for all of them). [ours; paper Eq.
    4; if expert=stochastic|mixture]"""
    share_output: bool = False
    """Whether the experts share one output layer. Section 3.1 says no; the number of parameters in
    Table 3 would need it, and the selector on the trunk. [paper 3.1; not paper Table 3; if
    expert=stochastic|mixture]"""
    individual_encoders: bool = False
    """Whether every expert has its own encoder (Section 5.3). [paper 3.1; if
    expert=stochastic|mixture]"""
    test_mixture: Literal["probabilities", "log_probabilities", "logits"] = "probabilities"
    """What the experts' "soft mixtures" mix at test time; Section 3.3 does not say. [ours; if
    expert=stochastic|mixture]"""
    optimizer: Literal["normalized_adam", "adam"] = "normalized_adam"
    """EVCF's code divides each tensor's gradient by its norm. [code; not paper Algorithm 1]"""
    learning_rate: NonNegative = 0.0005
    """Of the optimiser. [paper 4.1; code]"""
    batch_size: Count = 200
    """Users. [paper 4.1; code]"""
    n_epochs: Natural = 400
    """At most (code); the table says when to stop earlier. [code]"""

    def epochs(self, train: Interactions, run: Run) -> Iterator["SEVAENet"]:
        """Maximise the evidence lower bound with a KL warm-up, every user once per epoch."""
        if self.family == "hvamp" and self.n_layers < 2:
            raise UnsupportedError("H+Vamp needs at least two hidden layers", "set n_layers = 2")
        if self.likelihood == "bernoulli" and self.expert != "none":
            raise UnsupportedError(
                "experts are chosen per click, and a Bernoulli likelihood has no clicks",
                "set likelihood = 'multinomial'",
            )
        net = SEVAENet(train.n_items, self).to(run.device)
        adam = NormalizedAdam if self.optimizer == "normalized_adam" else torch.optim.Adam
        optimizer = adam(net.parameters(), self.learning_rate, fused=True)
        batches = UserRows(train, self.batch_size, run.device)
        for epoch in run.epochs(self.n_epochs, net=net, optimizer=optimizer):
            beta = linear_scaled(epoch + 1, self.warmup_epochs, self.beta)
            for x in batches:
                optimizer.zero_grad()  # before the likelihood makes new gradients
                nll, kl = net(x)
                loss = nll + beta * kl  # SE-VAE, Eq. 4 and 5
                loss.backward()
                optimizer.step()
                run.log(loss=loss, nll=nll, kl=kl, beta=beta)
            yield net

    @property
    def M(self) -> int:  # noqa: N802 - the paper's letter
        """How many experts there are."""
        return 1 if self.expert == "none" else self.n_experts


class SEVAENet(nn.Module):
    """A VAE with M latent variables and M decoders, their output layers, and the selector."""

    def __init__(self, n_items: int, model: SEVAE) -> None:
        super().__init__()
        self.model = model
        H, M = model.hidden_dim, model.M
        self.dropout = nn.Dropout(model.dropout)
        self.vae = (HVamp if model.family == "hvamp" else MultiVAE)(n_items, model)
        self.experts = Experts(
            M,
            H,
            n_items,
            mixture=model.expert == "mixture",
            select=model.select,
            temperature=model.temperature,
            hard=model.hard,
            scored_by=model.test_mixture,
            share_output=model.share_output,
        )
        self.selector: nn.Module | None = None
        if M > 1:
            own = [Layer(n_items, H, model.gated, ItemLinear)] if model.selector == "own" else []
            self.selector = nn.Sequential(*own, GaussianHeads(H, 1, M))
        he_normal(self)

    def forward(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Return the negative log-likelihood and the KL term, each a mean over users."""
        entries = normalized(x, self.dropout)
        latent = self.vae(entries)
        hidden = self.vae.decode(latent)
        kl = self.vae.kl(latent)  # (B, M)
        kl = kl.sum(dim=1) if self.model.experts_kl == "sum" else kl.mean(dim=1)
        w = None
        if self.selector is not None:
            q = self.selects(entries, latent)
            w = drawn(*q)
            kl = kl + self.model.selector_kl_weight * divergence(
                w, q, standard(w), self.model.kl == "analytic"
            )
        if self.model.likelihood == "bernoulli":
            logits = self.experts.output(0)(hidden[0])
            return bernoulli_nll(logits, x, least=1e-5).mean(), kl.mean()  # clipped as in the code
        return self.experts.nll(hidden, x, w), kl.mean()

    def selects(self, x: Entries, latent: "Latent") -> Gaussian:
        """Return mean and log variance of q(w | x), shape (B, M) each."""
        assert self.selector is not None
        mean, logvar = self.selector(x if self.model.selector == "own" else latent.trunk)
        return mean[:, 0], logvar[:, 0]

    @scoring
    def score(self, queries: Queries) -> Tensor:
        """Return the scores at the posterior means, shape (B, I) or (B, C)."""
        x = normalized(rows_of(queries.history, self.experts.output(0).weight.device), self.dropout)
        latent = self.vae(x)
        w = None if self.selector is None else self.selects(x, latent)[0]
        return picked(self.experts.scores(self.vae.decode(latent), w), queries)


class Latent(NamedTuple):
    """The latent variables of B users and M experts, shape (B, M, K) each, with their posteriors.

    H+Vamp's z1 follows from z2; Multi-VAE has only z2, its z.
    """

    trunk: Tensor  # (B, H): the hidden units of the first encoder
    z2: Tensor
    q2: Gaussian
    z1: Tensor | None = None
    q1: Gaussian | None = None


class Encoder(nn.Module):
    """q(z | x) of all experts: one trunk with M pairs of heads, or one trunk per expert."""

    def __init__(self, n_items: int, model: SEVAE) -> None:
        super().__init__()
        H, n = model.hidden_dim, model.M if model.individual_encoders else 1
        self.trunks = nn.ModuleList(
            nn.Sequential(
                Layer(n_items, H, model.gated, ItemLinear),
                layers([H] * model.n_layers, model.gated),
            )
            for _ in range(n)
        )
        self.heads = nn.ModuleList(
            GaussianHeads(H, model.M // n, model.latent_dim) for _ in range(n)
        )

    def forward(self, x: Entries | Tensor) -> tuple[Tensor, Gaussian]:
        """Return the first trunk's units (B, H), and mean and log variance (B, M, K)."""
        h = [trunk(x) for trunk in self.trunks]
        return h[0], beside(heads(units) for heads, units in zip(self.heads, h, strict=True))


class MultiVAE(nn.Module):
    """x -> z -> hidden units; the prior is N(0, I)."""

    def __init__(self, n_items: int, model: SEVAE) -> None:
        super().__init__()
        self.exact = model.kl == "analytic"
        widths = [model.latent_dim] + [model.hidden_dim] * model.n_layers
        self.encoder = Encoder(n_items, model)
        self.decoders = nn.ModuleList(layers(widths, model.gated) for _ in range(model.M))

    def forward(self, x: Entries) -> Latent:
        """Return a draw of the latent variables; in evaluation mode their means."""
        trunk, q = self.encoder(x)
        return Latent(trunk, drawn(*q) if self.training else q[0], q)

    def kl(self, latent: Latent) -> Tensor:
        """Return the KL term of every user and expert, shape (B, M)."""
        return divergence(latent.z2, latent.q2, standard(latent.z2), self.exact)

    def decode(self, latent: Latent) -> list[Tensor]:
        """Return every expert's last hidden units, shape (B, H)."""
        return [f(latent.z2[:, m]) for m, f in enumerate(self.decoders)]


class HVamp(nn.Module):
    """x -> z2, then x and z2 -> z1, then z1 and z2 -> hidden units; p(z2) is a VampPrior.

    With experts, q(z1 | x, z2) reads every z2 with the same weights, while each expert has its own
    p(z1 | z2) and p(x | z1, z2). Expert m's prior consists of its heads' posteriors for the
    pseudo-inputs, which all experts share. The paper does not say how experts extend to two levels.
    """

    def __init__(self, n_items: int, model: SEVAE) -> None:
        super().__init__()
        self.exact = model.kl == "analytic"
        H, K, M, gated = model.hidden_dim, model.latent_dim, model.M, model.gated
        n = M if model.individual_encoders else 1
        self.dropout = nn.Dropout(model.dropout)
        self.encoder = Encoder(n_items, model)
        widths = [K] + [H] * model.n_layers
        inputs = [Layer(n_items, H, gated, ItemLinear) for _ in range(n)]

        def joint(first: nn.Module) -> nn.Module:
            return Joint(first, Layer(K, H, gated), H, model.n_layers, gated)

        self.q1 = nn.ModuleList(joint(layer) for layer in inputs)
        self.q1_heads = nn.ModuleList(GaussianHeads(H, 1, K) for _ in range(n))
        self.p1 = nn.ModuleList(
            nn.Sequential(layers(widths, gated), GaussianHeads(H, 1, K)) for _ in range(M)
        )
        self.decoders = nn.ModuleList(joint(Layer(K, H, gated)) for _ in range(M))
        self.pseudo_inputs = PseudoInputs(
            n_items,
            model.n_pseudo_inputs,
            model.pseudo_input_mean,
            model.pseudo_input_std,
            model.dropout,
        )

    def forward(self, x: Entries) -> Latent:
        """Return a draw of the latent variables; in evaluation mode their means."""
        trunk, q2 = self.encoder(x)
        z2 = drawn(*q2) if self.training else q2[0]
        x = normalized(x.x, self.dropout)  # with a new dropout mask
        nets = zip(self.q1, self.q1_heads, z2.chunk(len(self.q1), dim=1), strict=True)
        heads = (head(net(x, part)) for net, head, part in nets)  # (B, n, 1, K) each
        q1 = beside((mean.flatten(1, 2), logvar.flatten(1, 2)) for mean, logvar in heads)
        z1 = drawn(*q1) if self.training else q1[0]
        return Latent(trunk, z2, q2, z1, q1)

    def kl(self, latent: Latent) -> Tensor:
        """Return the KL term of every user and expert, shape (B, M)."""
        _, z2, q2, z1, q1 = latent
        assert z1 is not None
        assert q1 is not None
        p1 = beside(f(z2[:, m]) for m, f in enumerate(self.p1))  # p(z1 | z2), (B, M, K)
        _, (mean, logvar) = self.encoder(self.pseudo_inputs())  # (C, M, K) each
        p2 = [vamp_log_density(z2[:, m], mean[:, m], logvar[:, m]) for m in range(z2.shape[1])]
        of_z2 = normal_log_density(z2, *q2) - torch.stack(p2, dim=1)
        return of_z2 + divergence(z1, q1, p1, self.exact)

    def decode(self, latent: Latent) -> list[Tensor]:
        """Return every expert's last hidden units, shape (B, H)."""
        assert latent.z1 is not None
        return [f(latent.z1[:, m], latent.z2[:, m]) for m, f in enumerate(self.decoders)]


MODEL = SEVAE
