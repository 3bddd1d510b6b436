"""Images with no content whose headers vary: axes, angles, serial numbers, vectors, as beamlines write them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

_DATE = "Tue Jan 01 00:00:00 2019"
_DENZO = {"DENZO_XBEAM": 0.8, "DENZO_YBEAM": 0.9, "DENZO_X_BEAM": 0.7, "DENZO_Y_BEAM": 0.6,
          "ADSC_SPATIAL_BEAM_POSITION": "5.5 6.5"}


def smv(**changes: object) -> bytes:
    """A 16 x 12 image with the header of an ADSC detector; a change of ``None`` leaves out a key."""
    keys = {"DIM": 2, "BYTE_ORDER": "little_endian", "TYPE": "unsigned_short", "SIZE1": 16, "SIZE2": 12,
            "PIXEL_SIZE": 0.1024, "TIME": 1.0, "DISTANCE": 150.0, "PHI": 63.39, "OSC_START": 63.39, "OSC_RANGE": 0.5,
            "WAVELENGTH": 1.0, "BEAM_CENTER_X": 0.55, "BEAM_CENTER_Y": 1.4, **changes}
    return _smv(keys)


def _smv(keys: dict[str, object]) -> bytes:
    lines = "".join(f"{key}={value};\n" for key, value in keys.items() if value is not None)
    return f"{{\nHEADER_BYTES=  4096;\n{lines}}}\n".encode().ljust(4096) + bytes(2 * 16 * 12)


def dtrek(**changes: object) -> bytes:
    """A 16 x 12 image with a header of d*TREK, on a detector at 15 deg."""
    return _smv({
        "DIM": 2, "BYTE_ORDER": "little_endian", "SIZE1": 16, "SIZE2": 12, "DETECTOR_NUMBER": 1,
        "DETECTOR_NAMES": "CCD_", "Data_type": "unsigned short int", "CRYSTAL_GONIO_NUM_VALUES": 3,
        "CRYSTAL_GONIO_NAMES": "Omega Chi Phi", "CRYSTAL_GONIO_UNITS": "deg deg deg",
        "CRYSTAL_GONIO_VALUES": "10.0 20.0 30.0", "CRYSTAL_GONIO_VECTORS": "0 1 0 0 0 1 0 1 0",
        "ROTATION": "10.0 10.5 0.5 30.0 0 0 0 0 0 0", "ROTATION_AXIS_NAME": "Omega", "ROTATION_VECTOR": "0.0 1.0 0.0",
        "SOURCE_VECTORS": "0 0 1 0 1 0 1 0 0", "DTREK_DATE_TIME": "01-Jan-2010 10:00:00",
        "SOURCE_WAVELENGTH": "1.0 0.7107", "SCAN_WAVELENGTH": "0.7107", "SOURCE_POLARZ": "0.5 1 0 0",
        "CCD_DETECTOR_DIMENSIONS": "16 12", "CCD_DETECTOR_SIZE": "1.6 1.2", "CCD_DETECTOR_VECTORS": "1 0 0 0 1 0",
        "CCD_GONIO_NAMES": "RotZ 2theta RotX dX dY Dist", "CCD_GONIO_UNITS": "deg deg deg mm mm mm",
        "CCD_GONIO_VALUES": "1.0 15.0 0.5 0.1 0.2 45.0",
        "CCD_GONIO_VECTORS": "0 0 1 1 0 0 1 0 0 1 0 0 0 1 0 0 0 -1", "CCD_GONIO_NUM_VALUES": 6,
        "CCD_SPATIAL_BEAM_POSITION": "5.5 4.5", "CCD_SPATIAL_DISTORTION_INFO": "7.5 6.5 0.1 0.1",
        "CCD_SPATIAL_DISTORTION_VECTORS": "1 0 0 -1", "SATURATED_VALUE": 65535, **changes})


def cbf(*lines: str, detector: str = "PILATUS 100K, S/N 1-0001", shape: tuple[int, int] = (195, 487),
        convention: str = "PILATUS_1.2", stamp: str = "2018-01-02T03:04:05.678", start: float = 10.0,
        width: float = 0.1, before: str = "") -> bytes:
    """A miniCBF, with further lines; ``before`` is CIF that precedes the short header."""
    header = "\r\n".join([
        f"# Detector: {detector}", f"# {stamp}", "# Pixel_size 172e-6 m x 172e-6 m",
        "# Silicon sensor, thickness 0.000320 m", "# Exposure_time 0.095 s", "# Exposure_period 0.1 s", "# Tau = 0 s",
        "# Count_cutoff 1048500 counts", "# Threshold_setting: 6330 eV", "# Wavelength 0.97950 A",
        "# Detector_distance 0.26562 m", "# Beam_xy (243.12, 97.17) pixels", f"# Start_angle {start:.4f} deg.",
        f"# Angle_increment {width:.4f} deg.", *(f"# {line}" for line in lines)])
    pixels = bytes(shape[0] * shape[1])  # a step of 0 is one byte
    digest = base64.b64encode(hashlib.md5(pixels, usedforsecurity=False).digest()).decode()
    text = (f"###CBF: VERSION 1.5\r\n\r\ndata_image\r\n{before}\r\n_array_data.header_convention \"{convention}\"\r\n"
            f"_array_data.header_contents\r\n;\r\n{header}\r\n;\r\n\r\n_array_data.data\r\n;\r\n"
            "--CIF-BINARY-FORMAT-SECTION--\r\nContent-Type: application/octet-stream;\r\n"
            "     conversions=\"x-CBF_BYTE_OFFSET\"\r\nContent-Transfer-Encoding: BINARY\r\n"
            f"X-Binary-Size: {len(pixels)}\r\nX-Binary-ID: 1\r\nX-Binary-Element-Type: \"signed 32-bit integer\"\r\n"
            f"X-Binary-Element-Byte-Order: LITTLE_ENDIAN\r\nContent-MD5: {digest}\r\n"
            f"X-Binary-Number-of-Elements: {shape[0] * shape[1]}\r\nX-Binary-Size-Fastest-Dimension: {shape[1]}\r\n"
            f"X-Binary-Size-Second-Dimension: {shape[0]}\r\nX-Binary-Size-Padding: 0\r\n\r\n")
    return (text.encode() + b"\x0c\x1a\x04\xd5" + pixels
            + b"\r\n--CIF-BINARY-FORMAT-SECTION----\r\n;\r\n")


def imgcif(chi: float = 0.0, omega: tuple[float, float] = (10.0, 0.1), phi: tuple[float, float] = (20.0, 0.0),
           twotheta: float = 5.0) -> bytes:
    """A full imgCIF of a 487 x 195 detector at a two-theta angle, on a goniometer of three circles."""
    axes = [("source", ". source . 0 0 1 . . ."), ("gravity", ". gravity . 0 -1 0 . . ."),
            ("GON_OMEGA", "rotation goniometer . 1 0 0 . . ."),
            ("GON_CHI", "rotation goniometer GON_OMEGA 0 0 -1 . . ."),
            ("GON_PHI", "rotation goniometer GON_CHI 1 0 0 . . ."),
            ("DET_2THETA", "rotation detector . 1 0 0 . . ."),
            ("DET_Z", "translation detector DET_2THETA 0 0 -1 0 0 0"),
            ("DET_Y", "translation detector DET_Z 0 1 0 0 0 0"), ("DET_X", "translation detector DET_Y 1 0 0 0 0 0"),
            ("ELEMENT_X", "translation detector DET_X 1 0 0 -41.8 16.7 0"),
            ("ELEMENT_Y", "translation detector ELEMENT_X 0 -1 0 0 0 0")]
    settings = {"GON_OMEGA": omega, "GON_CHI": (chi, 0.0), "GON_PHI": phi, "DET_2THETA": (twotheta, 0.0)}
    moves = {"DET_Z": 265.62, "DET_Y": 0.3, "DET_X": -0.2}
    names = ("id", "type", "equipment", "depends_on",
             *(f"{kind}[{i}]" for kind in ("vector", "offset") for i in (1, 2, 3)))
    scan = [f"SCAN1 {name} {start} {width * 10} {width} . . ." for name, (start, width) in settings.items()]
    scan += [f"SCAN1 {name} . . . {move} 0.0 0.0" for name, move in moves.items()]
    frame = [f"FRAME1 {name} {start} ." for name, (start, _) in settings.items()]
    frame += [f"FRAME1 {name} . {move}" for name, move in moves.items()]

    def loop(category: str, columns: tuple[str, ...], rows: list[str]) -> str:
        return "loop_\n" + "".join(f"_{category}.{name}\n" for name in columns) + "\n".join(rows) + "\n\n"

    text = "_diffrn.id DIFFRN\n_diffrn.crystal_id X\n\n"
    text += loop("diffrn_source", ("diffrn_id", "source", "type"), ["DIFFRN synchrotron 'beamline'"])
    text += loop("diffrn_radiation", ("diffrn_id", "wavelength_id", "polarizn_source_ratio", "polarizn_source_norm"),
                 ["DIFFRN WAVELENGTH1 0.98 0.0"])
    text += loop("diffrn_radiation_wavelength", ("id", "wavelength", "wt"), ["WAVELENGTH1 0.97950 1.0"])
    text += loop("diffrn_detector", ("diffrn_id", "id", "type", "number_of_axes"), ["DIFFRN DETECTOR 'any' 4"])
    text += loop("diffrn_detector_axis", ("detector_id", "axis_id"),
                 [f"DETECTOR {name}" for name in ("DET_2THETA", "DET_Z", "DET_Y", "DET_X")])
    text += loop("diffrn_detector_element", ("id", "detector_id"), ["ELEMENT1 DETECTOR"])
    text += loop("diffrn_data_frame", ("id", "detector_element_id", "array_id", "binary_id"),
                 ["FRAME1 ELEMENT1 ARRAY1 1"])
    text += loop("diffrn_measurement", ("diffrn_id", "id", "number_of_axes", "method"),
                 ["DIFFRN GONIOMETER 3 rotation"])
    text += loop("diffrn_measurement_axis", ("measurement_id", "axis_id"),
                 [f"GONIOMETER {name}" for name in ("GON_OMEGA", "GON_CHI", "GON_PHI")])
    text += loop("diffrn_scan", ("id", "frame_id_start", "frame_id_end", "frames"), ["SCAN1 FRAME1 FRAME1 1"])
    text += loop("diffrn_scan_axis", ("scan_id", "axis_id", "angle_start", "angle_range", "angle_increment",
                                      "displacement_start", "displacement_range", "displacement_increment"), scan)
    text += loop("diffrn_scan_frame", ("frame_id", "frame_number", "integration_time", "scan_id", "date"),
                 ["FRAME1 1 0.095 SCAN1 2018-01-02T03:04:05"])
    text += loop("diffrn_scan_frame_axis", ("frame_id", "axis_id", "angle", "displacement"), frame)
    text += loop("axis", names, [f"{name} {rest}" for name, rest in axes])
    text += loop("array_structure_list", ("array_id", "index", "dimension", "precedence", "direction", "axis_set_id"),
                 ["ARRAY1 1 487 1 increasing ELEMENT_X", "ARRAY1 2 195 2 increasing ELEMENT_Y"])
    text += loop("array_structure_list_axis", ("axis_set_id", "axis_id", "displacement", "displacement_increment"),
                 ["ELEMENT_X ELEMENT_X 0.086 0.172", "ELEMENT_Y ELEMENT_Y 0.086 0.172"])
    text += loop("array_element_size", ("array_id", "index", "size"), ["ARRAY1 1 172e-6", "ARRAY1 2 172e-6"])
    text += loop("array_intensities", ("array_id", "binary_id", "linearity", "gain", "gain_esd", "overload",
                                       "undefined_value"), ["ARRAY1 1 linear 1.0 . 1048500 -1"])
    text += loop("array_structure", ("id", "encoding_type", "compression_type", "byte_order"),
                 ["ARRAY1 'signed 32-bit integer' byte_offset little_endian"])
    return cbf(before=text.replace("\n", "\r\n")).replace(
        b"_array_data.data\r\n", b"loop_\r\n_array_data.array_id\r\n_array_data.binary_id\r\n_array_data.data\r\n"
        b"ARRAY1 1\r\n")


def variants() -> dict[str, bytes]:
    """Images by file name."""
    serials = {f"sn{number}_001.img": smv(DATE=_DATE, DETECTOR_SN=number, **_DENZO)
               for number in (401, 442, 445, 457, 458, 905, 907, 914, 915, 920, 926, 928)}
    pilatus = {
        "115": "PILATUS 6M-F, S/N 60-0115-F", "114": "PILATUS3 6M, S/N 60-0114-F", "125": "PILATUS3 6M, S/N 60-0125",
        "127": "PILATUS 6M, S/N 60-0127", "132": "PILATUS3 6M, S/N 60-0132", "xxx": "PILATUS 6M, S/N XX-XXX"}
    kappa = ("Kappa 30.0 deg.", "Phi 12.0 deg.")
    soleil = "PILATUS 6M, S/N 60-0106, Soleil"
    i24 = "PILATUS3 6M, S/N 60-0119"
    eiger = {"shape": (1065, 1030)}
    return {
        **serials, **{f"p{name}_00001.cbf": cbf(detector=detector) for name, detector in pilatus.items()},
        "adsc_001.img": smv(), "adsc_date_001.img": smv(DATE=_DATE, DETECTOR_SN=401),
        "sn442old_001.img": smv(DATE=_DATE.replace("2019", "2002"), DETECTOR_SN=442, **_DENZO),
        "sn926tt_001.img": smv(DATE=_DATE, DETECTOR_SN=926, TWOTHETA=10),
        "nodate926_001.img": smv(DETECTOR_SN=926, BEAMLINE="ALS831"), "tt_001.img": smv(DATE=_DATE, TWOTHETA=10),
        "negative_001.img": smv(DATE=_DATE, OSC_RANGE=-0.5), "kappa_001.img": smv(DATE=_DATE, KAPPA=30.0),
        "axis_001.img": smv(DATE=_DATE, AXIS="OMEGA", OMEGA=12.0, OSC_START=12.0, PHI=40.0),
        "saturn_001.img": dtrek(CCD_DETECTOR_DESCRIPTION="Saturn 92"),
        "a200_001.img": dtrek(CCD_DETECTOR_DESCRIPTION="Rigaku A200"),
        "saturn_sn_001.img": dtrek(CCD_DETECTOR_DESCRIPTION="Saturn 724", CCD_SERIAL_NUMBER="07400090"),
        "rpilatus_001.img": dtrek(DETECTOR_TYPE="Pilatus 200K", CCD_DETECTOR_DESCRIPTION="x"),
        "reiger_001.img": dtrek(CCD_DETECTOR_DESCRIPTION="Rigaku Eiger"),
        "cmos_001.img": dtrek(CCD_DETECTOR_DESCRIPTION="CMOS-1", WAVELENGTH=0.7107,
                              DATE="Tue Jan 01 2019 10:00:00.123"),
        "noir_001.img": dtrek(NOIR1_CREATED="01/01/10  10:00:00"),
        "plain_00001.cbf": cbf(), "still_00001.cbf": cbf(width=0.0), "tt_00001.cbf": cbf("Detector_2theta 12.0 deg."),
        "kappa_00001.cbf": cbf("Kappa 30.0 deg.", "Phi 12.0 deg.", "Oscillation_axis OMEGA"),
        "long_00001.cbf": cbf(*(f"Comment_{i} {'x' * 70}" for i in range(150))),
        "generic_00001.cbf": cbf(detector="any", shape=(40, 30), convention="GENERIC_MINI"),
        "p119_00001.cbf": cbf("Oscillation_axis +SLOW", detector=i24),
        "p119fast_00001.cbf": cbf("Oscillation_axis +FAST", detector=i24),
        "p119old_00001.cbf": cbf(detector=i24, stamp="2013-01-02T03:04:05.678"),
        "p114old_00001.cbf": cbf(detector=pilatus["114"], stamp="2013-01-02T03:04:05.678"),
        "p100_00001.cbf": cbf(*kappa, detector="PILATUS 6M, S/N 60-0100 Diamond"),
        "p126_00001.cbf": cbf(*kappa, detector="PILATUS 6M-F, S/N 60-0126"),
        "p106_00001.cbf": cbf("Alpha 49.64 deg.", *kappa, "Chi 20.0 deg.", "Oscillation_axis OMEGA", detector=soleil),
        "p106phi_00001.cbf": cbf("Alpha 49.64 deg.", *kappa, "Chi 20.0 deg.", "Oscillation_axis PHI", detector=soleil),
        "p106chi_00001.cbf": cbf("Phi 12.0 deg.", "Chi 20.0 deg.", "Omega 25.0 deg.", "Oscillation_axis PHI",
                                 detector=soleil),
        "e105_00001.cbf": cbf(detector="Dectris Eiger 16M, S/N E-32-0105", **eiger),
        "e107_00001.cbf": cbf(detector="Dectris EIGER 16M, S/N E-32-0107", **eiger),
        "e160_00001.cbf": cbf("Chi 20.0 deg.", "Phi 12.0 deg.", detector="EIGER2 16M, S/N 160-0001", **eiger),
        "e1_00001.cbf": cbf(detector="Dectris Eiger 1M, S/N E-02-0001", **eiger),
        "full_00001.cbf": imgcif(), "full_chi_00001.cbf": imgcif(chi=25.0),
        "full_phi_00001.cbf": imgcif(chi=25.0, omega=(15.0, 0.0), phi=(20.0, 0.1)),
    }


def write_variants(folder: Path) -> list[str]:
    """Write all images and return their names."""
    images = variants()
    for name, data in images.items():
        (folder / name).write_bytes(data)
    return sorted(images)
