"""Geometry and cell files of CrystFEL."""

#: One panel of 12 x 10 pixels.
GEOM = """photon_energy = 9000 eV
clen = 80 mm
res = 2000
p/min_fs = 0
p/max_fs = 11
p/min_ss = 0
p/max_ss = 9
p/fs = x
p/ss = y
p/corner_x = -5
p/corner_y = -4
"""
CELL = "CrystFEL unit cell file version 1.0\na = 50 A\nb = 60 A\nc = 70 A\nal = 90 deg\nbe = 90 deg\nga = 90 deg\n"

#: Two panels of 12 x 10 pixels with a gap of 4 between them in the image; the second leans back by 30 degrees.
TWO_PANELS = """photon_energy = 9000 eV
clen = 80 mm
res = 2000
p/min_fs = 0
p/max_fs = 11
p/min_ss = 0
p/max_ss = 9
p/fs = x
p/ss = y
p/corner_x = -5
p/corner_y = -4
q/min_fs = 16
q/max_fs = 27
q/min_ss = 0
q/max_ss = 9
q/fs = 0.86602540378443864676x -0.5z
q/ss = y
q/corner_x = 18
q/corner_y = -4
"""
