"""The frame of DIALS: proper, beam along -z, spindle along +x."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cubragg.crystallography.frames import to_frame
from cubragg.experiment import Detector
from cubragg.experiment.conventions import CONVENTIONS

#: Some units in the last place of 1.
ROUNDING = 1e-15
component = st.floats(-1.0, 1.0, allow_nan=False)
direction = st.tuples(component, component, component).filter(lambda x: np.linalg.norm(x) > 0.1)


@pytest.mark.requirement("AT-FROM-001")
@pytest.mark.parametrize("convention", [name for name in CONVENTIONS if name != "custom"])
def test_conventions_come_to_beam_along_minus_z_and_spindle_along_x(convention):
    """Exactly, without a rounding error or a minus zero."""
    geometry = Detector(convention=convention).geometry(None, "nanobragg")
    rotation = geometry.dials_rotation()
    assert to_frame(rotation, geometry.beam) == (0.0, 0.0, -1.0)
    assert to_frame(rotation, geometry.spindle) == (1.0, 0.0, 0.0)
    assert np.linalg.det(np.reshape(rotation, (3, 3))) == 1.0


@pytest.mark.requirement("AT-FROM-001")
def test_mosflm_frame_is_the_one_of_the_dials_origin_line():
    """Against the frame that nanoBragg.c uses for its DIALS_ORIGIN."""
    geometry = Detector(convention="mosflm", rotx_deg=3.0, twotheta_deg=7.0).geometry(None, "nanobragg")
    assert tuple(1000.0 * x for x in to_frame(geometry.dials_rotation(), geometry.pix0)) == geometry.dials_origin_mm


@pytest.mark.requirement("AT-FROM-001")
@given(direction, direction)
def test_a_proper_rotation_whatever_beam_and_spindle(beam, spindle):
    geometry = Detector(convention="custom").geometry(None, "nanobragg")._replace(
        beam=tuple(np.array(beam) / np.linalg.norm(beam)), spindle=tuple(np.array(spindle) / np.linalg.norm(spindle)))
    rotation = np.reshape(geometry.dials_rotation(), (3, 3))
    assert np.allclose(rotation @ rotation.T, np.eye(3), rtol=0, atol=ROUNDING)
    assert np.isclose(np.linalg.det(rotation), 1.0, rtol=0, atol=ROUNDING)
    assert np.allclose(rotation @ geometry.beam, (0, 0, -1), rtol=0, atol=ROUNDING)
    x, y, _ = rotation @ geometry.spindle
    assert abs(y) < ROUNDING * 1e6  # a spindle a millionth off the beam gives x to as many digits less
    assert x > -ROUNDING


@pytest.mark.requirement("AT-FROM-001")
def test_a_spindle_in_the_beam_leaves_x_to_the_polarization():
    geometry = Detector(convention="mosflm").geometry(None, "nanobragg")
    rotation = geometry._replace(spindle=geometry.beam, polar=(0.0, 1.0, 0.0)).dials_rotation()
    assert to_frame(rotation, (0.0, 1.0, 0.0)) == (1.0, 0.0, 0.0)
