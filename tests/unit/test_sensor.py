"""Layers of a sensor against the absorption that they approximate."""

from __future__ import annotations

import math

import pytest

from cubragg.experiment.sensor import Sensor, View, nanobragg_layers, physical_layers

PIXEL_UM = 75.0
#: Places of spots [pixel].
OF_A_PIXEL = 0.02
SENSORS = [(450.0, 305.0), (320.0, 305.0), (1000.0, 400.0), (450.0, 50.0), (750.0, 25.0), (320.0, 20.0)]


def layers_at(thickness_um, depth_um, tangent, steps=None):
    return physical_layers(Sensor(thickness_um * 1e-6, 1e6 / depth_um), steps,
                           View(1.0 / math.hypot(1.0, tangent), PIXEL_UM * 1e-6))


def absorbed(layers, cosine):
    """What each layer absorbs of a ray."""
    return [math.exp(-front * layers.mu_per_m / cosine) - math.exp(-back * layers.mu_per_m / cosine)
            for front, back in map(layers.edges_m, range(layers.count))]


@pytest.mark.requirement("AT-PHY-006")
@pytest.mark.parametrize(("thickness_um", "depth_um"), SENSORS)
@pytest.mark.parametrize("largest", [0.1, 0.35, 0.7, 1.0])
def test_layers_absorb_what_the_sensor_does_where_it_does(thickness_um, depth_um, largest):
    """Share and mean depth of exp(-mu z / cosine) from 0 to t, for rays up to the most oblique one."""
    layers = layers_at(thickness_um, depth_um, largest)
    for part in range(11):
        tangent = largest * part / 10.0
        x = thickness_um / depth_um * math.hypot(1.0, tangent)
        mean_um = thickness_um * (1.0 / x - 1.0 / math.expm1(x))
        shares = absorbed(layers, 1.0 / math.hypot(1.0, tangent))
        assert sum(shares) == pytest.approx(-math.expm1(-x), rel=1e-12)
        found_um = sum(share * layers.depth_m(i) for i, share in enumerate(shares)) / sum(shares) * 1e6
        assert abs(found_um - mean_um) * tangent < OF_A_PIXEL * PIXEL_UM


@pytest.mark.requirement("AT-PHY-007")
@pytest.mark.parametrize(("thickness_um", "depth_um"), SENSORS)
def test_neighbouring_layers_show_a_spot_half_a_pixel_apart(thickness_um, depth_um):
    """At the most oblique ray; and there are no more of them than that takes."""
    for largest in (0.36, 0.7, 0.99):
        layers = layers_at(thickness_um, depth_um, largest)
        reach = min(thickness_um, depth_um * math.log(1000.0))
        shift = reach * largest / PIXEL_UM
        assert shift / layers.count <= 0.5
        assert layers.count == 1 or shift / (layers.count - 1) > 0.5
        assert layers.step_m == pytest.approx(reach / layers.count * 1e-6)


@pytest.mark.requirement("AT-PHY-006")
def test_layers_asked_for_fill_the_sensor():
    layers = layers_at(450.0, 20.0, 1.0, steps=3)
    assert [back for _, back in map(layers.edges_m, range(3))] == pytest.approx([150e-6, 300e-6, 450e-6])
    assert layers_at(450.0, 300.0, 1.0, steps=1).edges_m(0) == (0.0, 450e-6)


def test_a_transparent_sensor_is_seen_in_its_middle():
    layers = physical_layers(Sensor(1e-3, 0.0), 1, View(0.5, 1e-4))
    assert layers.depth_m(0) == pytest.approx(0.5e-3)
    assert absorbed(layers, 0.5) == [0.0]


def test_grazing_rays_do_not_ask_for_layers_without_end():
    assert layers_at(1000.0, 1000.0, 1000.0).count == 50


def test_layers_of_nanobragg_are_at_their_fronts_and_reach_too_far():
    layers = nanobragg_layers(Sensor(450e-6, 2000.0), 4)
    assert [layers.depth_m(i) for i in range(4)] == pytest.approx([0.0, 150e-6, 300e-6, 450e-6])
    assert layers.edges_m(3) == pytest.approx((450e-6, 600e-6))
