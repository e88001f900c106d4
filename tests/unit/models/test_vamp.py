from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn.functional import dropout
from torch.testing import assert_close

from repro.models._se_vae.vamp import PseudoInputs, random_bits, vamp_log_density
from repro.nn.gaussians import drawn, normal_kl, normal_log_density


def made(*shape: int, dtype: torch.dtype = torch.double) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*shape, dtype=dtype) for _ in range(4)]


def test_densities_and_divergences_are_those_of_torch_distributions() -> None:
    mean, logvar, p_mean, p_logvar = made(3, 2, 5)
    q = Independent(Normal(mean, (0.5 * logvar).exp()), 1)
    p = Independent(Normal(p_mean, (0.5 * p_logvar).exp()), 1)
    z = drawn(mean, logvar)
    assert_close(normal_log_density(z, mean, logvar), q.log_prob(z))
    assert_close(normal_kl(mean, logvar, p_mean, p_logvar), kl_divergence(q, p))


def test_a_draw_has_the_mean_and_the_variance_that_were_asked_for() -> None:
    torch.manual_seed(0)
    z = drawn(torch.tensor([1.0, -3.0]).expand(20_000, 2), torch.tensor([0.0, math.log(4.0)]))
    assert_close(z.mean(dim=0), torch.tensor([1.0, -3.0]), rtol=0, atol=0.06)
    assert_close(z.var(dim=0), torch.tensor([1.0, 4.0]), rtol=0.05, atol=0)


def naive(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    each = Independent(Normal(mean, (0.5 * logvar).exp()), 1)
    uniform = Categorical(torch.ones(len(mean), dtype=mean.dtype))
    return MixtureSameFamily(uniform, each).log_prob(z)


def test_the_vamp_priors_density_is_that_of_the_mixture_and_so_are_its_gradients() -> None:
    z, _, _, _ = made(6, 4)
    _, mean, logvar, _ = made(9, 4)
    given = [v.clone().requires_grad_() for v in (z, mean + 3, logvar)]
    ours, expected = vamp_log_density(*given), naive(*given)
    assert ours.shape == (6,)
    assert_close(ours, expected)
    assert_close(torch.autograd.grad(ours.sum(), given), torch.autograd.grad(expected.sum(), given))


@pytest.mark.parametrize(("logvar", "error"), [(-2.0, 1e-3), (-6.0, 0.03)])
def test_the_three_products_cancel_little_in_single_precision(logvar: float, error: float) -> None:
    torch.manual_seed(0)
    mean = 5 + 0.5 * torch.randn(1000, 200)
    spread = torch.full_like(mean, logvar)
    z = drawn(mean, spread)[:50]  # close to one component, where cancelling is at its worst
    exact = naive(z.double(), mean.double(), spread.double())
    assert float((vamp_log_density(z, mean, spread) - exact).abs().max()) < error


def test_no_tensor_of_the_vamp_prior_has_users_times_components_times_dimensions() -> None:
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        sizes.append(tensor.numel())
        return tensor

    z, mean, logvar = (torch.randn(n, 6, requires_grad=True) for n in (10, 20, 20))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        vamp_log_density(z, mean, logvar).sum().backward()
    assert max(sizes) <= 20 * 12  # of the components' two matrices; B x C is 200


def test_pseudo_inputs_are_cut_and_dropped_as_by_torch() -> None:
    torch.manual_seed(0)
    inputs = PseudoInputs(400, 50, 0.5, 0.5, dropout=0.3)
    rows = inputs()
    assert rows.shape == (50, 400)
    kept = rows > 0
    cut = inputs.weight.clamp(0, 1).T
    assert_close(rows[kept], cut[kept] / 0.7)
    assert float((rows > 0).sum() / (cut > 0).sum()) == pytest.approx(0.7, abs=0.01)
    (gradient,) = torch.autograd.grad((rows * torch.arange(400.0)).sum(), inputs.weight)
    inside = (cut > 0) & (cut < 1)
    expected = torch.arange(400.0).expand(50, 400) / 0.7 * (kept & inside)
    assert_close(gradient.T, expected)


def test_pseudo_inputs_drop_anew_each_time_and_nothing_at_test_time() -> None:
    torch.manual_seed(0)
    inputs = PseudoInputs(20, 5, 0.5, 0.1, dropout=0.5)
    assert not torch.equal(inputs(), inputs())
    assert torch.equal(inputs.eval()(), inputs.weight.clamp(0, 1).T)
    torch.manual_seed(0)
    whole = PseudoInputs(20, 5, 0.5, 0.1, dropout=0.0)
    assert torch.equal(whole(), dropout(whole.weight.clamp(0, 1).T, 0.0))


def test_random_bits_are_uniform_and_independent() -> None:
    torch.manual_seed(0)
    bits = random_bits(torch.empty(3, 30_001)).double()
    assert bits.shape == (3, 30_001)
    assert float(bits.mean()) == pytest.approx(-0.5, abs=300)
    assert float(bits.std()) == pytest.approx(2**16 / 12**0.5, rel=0.01)
    together = torch.corrcoef(bits.flatten()[:90_000].view(-1, 8).T)
    assert float((together - torch.eye(8)).abs().max()) < 0.04
