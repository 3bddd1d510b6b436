"""Poisson deviates: exact probabilities, against decimal arithmetic and SciPy; the same counts on every backend."""

from __future__ import annotations

import functools
from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import stats

from cubragg.detect import poisson
from cubragg.detect.counting import draw_counts
from cubragg.detect.poisson import SEARCH_BELOW, RandomStream, poisson_counts
from cubragg.errors import BackendUnavailable, ConfigError
from cubragg.philox import Effect, random_words, uniform_of
from support.marks import slow_after
from support.messages import refusal

MEANS = (1e-4, 0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 23.99, 24.0, 31.5, 100.0, 1e3, 1e4, 1e6, 1e9)


def decimal_arithmetic(function):
    """Run a function with 60 digits."""
    @functools.wraps(function)
    def inner(*args):
        with localcontext() as context:
            context.prec = 60
            return function(*args)
    return inner


@decimal_arithmetic
def log_probability(k: int, mean: float) -> Decimal:
    """ln p(k) to at least 25 digits: Stirling's series from k = 30 on."""
    exact = Decimal(mean)
    shifted, product = k, Decimal(1)
    while shifted < 30:
        shifted += 1
        product *= shifted
    n = Decimal(shifted)
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097")
    numbers = ((1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400))
    series = sum(Decimal(above) / below / n**(2 * order + 1) for order, (above, below) in enumerate(numbers))
    log_factorial = n * n.ln() - n + (2 * pi * n).ln() / 2 + series - product.ln()
    return k * exact.ln() - exact - log_factorial


@decimal_arithmetic
def tails(mean: float) -> list[Decimal]:
    """Probabilities of counts above k = 0, 1, ..., down to 1e-20."""
    exact = Decimal(mean)
    term = (-exact).exp()
    above, found, k = 1 - term, [], 0
    while above > Decimal("1e-20"):
        found.append(above)
        k += 1
        term *= exact / k
        above -= term
    return found


# Inversion


@pytest.mark.requirement("AT-NOISE-004")
@pytest.mark.parametrize("mean", [1e-12, 1e-3, 0.3, 1.0, 4.7, 10.0, 17.3, 23.999])
def test_inversion_divides_the_unit_interval_at_the_exact_probabilities(mean):
    exact = tails(mean)
    tested = [(k, float(above)) for k, above in enumerate(exact) if above > exact[0] * Decimal("1e-10")]
    width = 1e-14 * float(exact[0])  # the bound in specs/noise.md is twice this
    v = np.array([above + side * width for _, above in tested for side in (-1, 1)])
    counts = poisson._number_above(np.full(len(v), mean), v)[0]
    np.testing.assert_array_equal(counts, [k + (side < 0) for k, _ in tested for side in (-1, 1)])


@pytest.mark.requirement("AT-NOISE-004")
def test_the_second_word_decides_where_the_first_one_leaves_a_choice():
    stream, index = RandomStream(7), np.arange(40_000, dtype=np.uint32)
    high, low = (random_words(*stream, index, draw) for draw in (0, 1))
    small = high < 2**29
    index, high, low = index[small], high[small], low[small]
    # 1 - exp(-mean) in the middle of the interval that the first word leaves.
    means = -np.log1p(-(high + 0.5) * 2.0**-32)
    counts = poisson_counts(means, index, stream)
    np.testing.assert_array_equal(counts == 0, uniform_of(high, low) >= -np.expm1(-means))
    assert 0.45 < (counts == 0).mean() < 0.55


# Rejection


@pytest.mark.requirement("AT-NOISE-005")
@pytest.mark.parametrize("mean", [24.0, 37.7, 1e3, 123456.789, 1e9, 3e15])
def test_probabilities_of_the_rejection_are_exact(mean):
    root = np.sqrt(mean)
    k = np.unique(np.floor(np.maximum(0.0, mean + root * np.linspace(-8.0, 8.0, 25))))
    means = np.full(len(k), mean)
    found = -poisson.deviance(k, means) - poisson.stirling(k) - 0.5 * np.log(np.where(k > 0.0, 2.0 * np.pi * k, 1.0))
    exact = [float(log_probability(int(count), mean)) for count in k]
    np.testing.assert_allclose(found, exact, rtol=0.0, atol=1e-13)


@pytest.mark.requirement("AT-NOISE-005")
def test_the_logarithm():
    x = np.concatenate([np.geomspace(1e-250, 1e250, 4001), np.linspace(0.5, 2.0, 3001), [1.0]])
    np.testing.assert_allclose(poisson.logarithm(x), np.log(x), rtol=4e-16, atol=0.0)


@pytest.mark.requirement("AT-NOISE-005")
@pytest.mark.parametrize("mean", slow_after(5, [
    24.0, 25.3, 27.1, 30.6, 1e7, *np.geomspace(24.0, 60.0, 97), *np.geomspace(60.1, 1e17, 43)]))
def test_the_comparison_function_bounds_the_density_and_the_squeeze_is_below_it(mean):
    """With exact bounds, rejection gives the exact distribution."""
    edge = np.concatenate([np.geomspace(1e-9, 0.013, 8001), np.linspace(0.013, 0.5, 40_001)])
    means = np.full(len(edge), mean)
    a, b = poisson._comparison(means)
    for side in (-1.0, 1.0):
        count = np.floor((2.0 * a / edge + b) * side * (0.5 - edge) + mean + 0.43)
        kept = count >= 0.0
        count = np.where(kept, count, 1.0)
        density = np.where(kept, stats.poisson.pmf(count, mean) if mean < 1e5 else np.exp(
            -poisson.deviance(count, means)) / np.sqrt(2.0 * np.pi * count), 0.0)
        share = density * (a / edge**2 + b) / poisson._envelope(b)
        assert share.max() <= 1.0
        assert (share >= poisson._squeeze(b))[edge >= 0.07].all()
        assert (share <= edge)[edge < 0.013].all()


# Distribution


@pytest.mark.requirement("AT-NOISE-003")
@pytest.mark.parametrize("mean", MEANS)
def test_counts_are_poisson_deviates(mean):
    """Chi-square of 200 000 counts in classes of similar probability."""
    size = 200_000
    counts = draw_counts(np.full((1, size), mean), seed=20, dtype=np.float64)[0]
    distribution = stats.poisson(mean)
    edges = np.unique(distribution.ppf(np.linspace(0.0, 1.0, 61)[1:-1]))
    edges = edges[distribution.sf(edges) * size > 10.0]
    expected = np.diff(np.concatenate([[0.0], distribution.cdf(edges), [1.0]])) * size
    if not edges.size:  # at the smallest means nearly all counts are 0
        edges, expected = np.array([0.0]), np.array([distribution.pmf(0), distribution.sf(0)]) * size
    observed = np.bincount(np.searchsorted(edges, counts), minlength=len(edges) + 1)
    assert stats.chisquare(observed, expected).pvalue > 1e-3
    assert counts.mean() == pytest.approx(mean, abs=4.0 * np.sqrt(mean / size))


@pytest.mark.requirement("AT-NOISE-003")
@pytest.mark.parametrize("other", [
    {"shot": 1}, {"seed": 1}, {"effect": Effect.READOUT}, {"place": 1}, {"place": 2}, {"place": 4}],
    ids=lambda other: "-".join(other))
@pytest.mark.parametrize("mean", [2.0, 40.0])
def test_counts_of_other_shots_seeds_effects_and_neighbours_are_independent(mean, other):
    means = np.full((1, 150_000), mean)
    place = other.get("place", 0)
    first = draw_counts(means, dtype=np.float64)[0]
    second = np.roll(draw_counts(means, dtype=np.float64, **{key: value for key, value in other.items()
                                                              if key != "place"})[0], -place)
    edges = np.unique(stats.poisson(mean).ppf(np.linspace(0.0, 1.0, 6)[1:-1]))
    table = np.zeros((len(edges) + 1,) * 2)
    np.add.at(table, (np.searchsorted(edges, first), np.searchsorted(edges, second)), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


# The same counts


def mixed_means(shape: tuple[int, int]) -> np.ndarray:
    generator = np.random.default_rng(4)
    means = 10.0**generator.uniform(-5.0, 9.2, shape)
    means[::3] = generator.uniform(0.0, 60.0, means[::3].shape)
    means.flat[:6] = (0.0, -1.0, 1e-300, np.inf, np.nan, 3e9)
    return means


@pytest.mark.requirement("AT-NOISE-006")
@pytest.mark.parametrize("dtype", [np.int32, np.float64])
@pytest.mark.parametrize("type_of_means", [np.float32, np.float64])
def test_the_cpu_draws_the_counts_of_numpy(type_of_means, dtype):
    means = mixed_means((61, 1031)).astype(type_of_means)
    expected = draw_counts(means, seed=2**40 + 3, shot=9, dtype=dtype, backend="numpy")
    for threads in (1, 2):
        counts = draw_counts(means, seed=2**40 + 3, shot=9, dtype=dtype, backend="cpu", threads=threads)
        assert counts.dtype == dtype
        np.testing.assert_array_equal(counts, expected)


@pytest.mark.requirement("AT-NOISE-006")
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_the_region_changes_no_count(backend):
    means = mixed_means((40, 1300)).astype(np.float32)
    whole = draw_counts(means, backend="numpy")
    for region in ((0, 1299, 7, 20), (13, 1290, 0, 39), (5, 5, 3, 3), (1298, 1299, 38, 39)):
        counts = draw_counts(means, region, backend=backend)
        inside = np.s_[region[2]:region[3] + 1, region[0]:region[1] + 1]
        np.testing.assert_array_equal(counts[inside], whole[inside])
        counts[inside] = 0
        assert not counts.any()


@pytest.mark.requirement("AT-NOISE-006")
def test_arrays_in_any_order():
    means = mixed_means((50, 70))
    expected = draw_counts(means, backend="numpy")
    for backend in ("numpy", "cpu"):
        np.testing.assert_array_equal(draw_counts(np.asfortranarray(means), backend=backend), expected)
        np.testing.assert_array_equal(draw_counts(means.T.copy().T, backend=backend), expected)


def test_counts_above_32_bits_are_limited_in_int32_only():
    means = np.full((1, 8), 1e12)
    assert (draw_counts(means) == 2**31 - 1).all()
    assert draw_counts(means, dtype=np.float64) == pytest.approx(1e12, rel=1e-5)


def test_without_a_compiler_numpy_draws(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "/nowhere/c++")
    means = mixed_means((3, 50))
    np.testing.assert_array_equal(draw_counts(means), draw_counts(means, backend="numpy"))
    with refusal(BackendUnavailable, "backend cpu", "CXX=/nowhere/c++"):
        draw_counts(means, backend="cpu")


def test_seeds_out_of_range():
    for backend in ("numpy", "cpu"):
        with refusal(ConfigError, "seed", "-1", "0 to 2^64 - 1"):
            draw_counts(np.ones((1, 1)), seed=-1, backend=backend)


def test_means_around_the_limit_of_the_algorithms():
    means = np.nextafter(SEARCH_BELOW, [0.0, 0.0, 100.0, 100.0])[np.newaxis]
    np.testing.assert_array_equal(draw_counts(means, backend="cpu"), draw_counts(means, backend="numpy"))
