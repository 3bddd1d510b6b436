"""Files that are the same, byte for byte, whenever they are written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from cubragg.io.files import timestamp as module
from cubragg.io.files.timestamp import timestamp
from support.command import SMALL
from support.messages import refused

LINE = (f"{SMALL} -osc 1 --quiet -floatfile f.bin -intfile i.img -noisefile n.img -pgmfile p.pgm --cbffile c.cbf "
        "--nxmx s.h5 --tiff t.tif --png p.png --expt e.expt --geom g.geom --cell-file c.cell --xds-inp XDS.INP "
        "--save-config e.toml --save a.npy")


@pytest.mark.requirement("AT-FMT-019")
@pytest.mark.parametrize("line", [LINE, f"{SMALL} --truth t.h5 -floatfile f.bin", f"{SMALL} --truth t.refl",
                                  f"{SMALL} --truth t.csv --png-rings --png p.png"])
def test_source_date_epoch(line, run, folder, monkeypatch):
    """With the seed, which SMALL has; without the variable CBF, TIFF and NXmx contain the time."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    written = []
    for hour in (1, 2):
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return cls(2024, 1, 2, hour)  # noqa: B023  (used within the loop)

        monkeypatch.setattr(module, "datetime", Clock)
        assert run(line).exit_code == 0
        written.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert written[0] == written[1]
    if line is LINE:
        assert b"2023-11-14T22:13:20.000" in written[0]["c.cbf"]
        assert b"2023:11:14 22:13:20" in written[0]["t.tif"]
        assert b"2023-11-14T22:13:20.000" in written[0]["s.h5"]


def test_the_time_of_other_runs(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.now()
    assert before <= timestamp() <= datetime.now()


@pytest.mark.parametrize("value", ["now", "1e9", "99999999999999999999"])
def test_a_date_that_is_none(value, run, folder, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", value)
    refused(run(f"{SMALL} --cbffile c.cbf --quiet"), 2, "SOURCE_DATE_EPOCH", value, "seconds")
    assert list(Path().iterdir()) == []
