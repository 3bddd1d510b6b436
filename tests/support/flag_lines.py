"""Every flag in every spelling, with values."""

#: Section 2 of the specification of nanoBragg's behaviour, spelled out by hand, and cubragg's own flags.
LINES = """
-Na 3|-Nb 3|-Nc 3|-N 3|-N 5.0|-cell 100|-cell 100 90|-cell 100 100 100 90 90 90|-misset 1 2 3|-misset -10 20 -30
-misset random|-misset rand|-misset_seed 5|-samplesize 0.0001|-sample_size 0.0001|-xtalsize 0.0001|-xtal_size 0.0001
-sample_thick 0.0001|-sample_x 0.0001|-xtal_thick 0.0001|-xtal_x 0.0001|-sample_width 0.0001|-sample_y 0.0001
-width 0.0001|-xtal_width 0.0001|-xtal_y 0.0001|-sample_height 0.0001|-sample_z 0.0001|-height 0.0001
-xtal_height 0.0001|-xtal_z 0.0001|-Xbeam 3|-Ybeam 3|-Xclose 3|-Yclose 3|-ORGX 5|-ORGY 5|-pivot sample|-pivot beam
-mosflm|-xds|-adxv|-denzo|-dials|-fdet_vector 0 0 1|-sdet_vector 0 -1 0|-odet_vector 1 0 0|-beam_vector 1 0 0
-polar_vector 0 0 1|-spindle_axis 0 0 1|-twotheta_axis 0 0 1|-pix0_vector 0.1 0 0|-distance 100|-close_distance 100
-detector_abs 300|-detector_abs inf|-detector_abs 0|-detector_absorb 300|-detector_thick 200|-detector_thicksteps 2
-thicksteps 2|-twotheta 5|-detector_rotx 5|-detector_roty -5|-detector_rotz 5|-detsize 6|-detsize_f 6|-detsize_s 6
-detpixels 12|-detpixels_f 12|-detpixels_x 12|-detpixels_s 12|-detpixels_y 12|-curved_det|-pixel 0.5|-point_pixel
-polar -0.5|-nopolar|-oversample 2|-oversample_thick|-oversample_polar|-oversample_omega|-roi 0 5 0 5|-lambda 6
-wave 6|-wavelength 6|-energy 2000|-fluence 1e25|-flux 1e12|-exposure 0.1|-beamsize 0.1|-mosaic 0.5|-mosaici 0.5
-mosaicity 0.5|-mosaic_spread 0.5|-mosaic_dom 3|-mosaic_domains 3|-mosaic_seed 7|-dispersion 1|-dispsteps 3
-divergence 1|-hdivrange 1|-vdivrange 1|-hdivstep 1|-vdivstep 1|-hdivsteps 2|-vdivsteps 2|-divsteps 2|-round_div
-square_div|-adc 10|-phi 5|-osc 1|-phistep 0.5|-phisteps 2|-dmin 3|-mat A.mat|-hkl P1.hkl|-default_F 100|-dump F.bin
-img i.img|-mask m.img|-stol stol.txt|-4stol stol.txt|-Q stol.txt|-stolout o.txt|-sourcefile s.txt|-floatfile f.bin
-floatimage f.bin|-intfile i.smv|-intimage i.smv|-pgmfile p.pgm|-pgmimage p.pgm|-noisefile n.img|-noiseimage n.img
-hdiv 0|-vdiv 0|-detsize_x 6|-detsize_y 6|-xdet_vector 0 0 1|-ydet_vector 0 -1 0|-zdet_vector 1 0 0
-nonoise|-nopgm|-scale 2|-pgmscale 2|-coherent|-printout|-printout_pixel 3 4|-trace_pixel 3 4|-noprogress|-progress
-interpolate|-nointerpolate|-round_xtal|-square_xtal|-gauss_xtal|-binary_spots|-tophat_spots|-fudge 1.1|-seed 3|-water 1
--column FC|--space-group 19|-space-group P212121|--cbffile c.cbf|-cbffile c.cbf|--backend auto|--backend numpy
--backend cpu|--backend cuda|--method sampled|--method analytic|--tail 6
--precision auto|--precision double|--precision mixed
--precision single|--device 0|--devices all|--devices 0,1|--semantics nanobragg|--semantics physical|--threads 1
--save a.npy|--nxmx a.h5|--nxmx-type uint32|--nxmx-type int32|--nxmx-type uint16|--nxmx-type float32|--tiff a.tif
--tiff-type int32|--tiff-type uint16|--tiff-type float32|--cbf-convention auto|--cbf-convention generic
--cbf-convention pilatus|--smv-flavor nanobragg|--smv-flavor adsc|--images 3
--from i.img|--expt e.expt|--geom e.geom|--cell-file e.cell|--xds-inp XDS.INP
--config exp.toml|--save-config exp2.toml|--noise-rng philox|--noise-rng reference|--png p.png|--quiet|--all-outputs
--cull 1e-8|-v|--verbose|--log summary|--log nanobragg
--png-colors grey|--png-colours sea|--png-scale log|--png-range 1 99|--png-rings|--png-zoom|--png-spots
--png-spots 5|--png-counts|--png-dpi 200
--truth t.csv|--truth-min 5|--overwrite|--crystal-shape round|--background water=10,air=5:10|--response ideal
--F000 500|--direct-beam 1e-6|--beamstop 2|--beamstop 2 1|--beamstop-distance 40|--beamstop-offset 0.1 0
--beamstop-arm 0.3|--beamstop-arm-angle 45
--crystal-size 0.05|--crystal-size 0.1 0.2 0.3|--crystal-habit sphere|--crystal-offset 0.01 0 -0.02
--crystal-wobble 0.002 0 0.001|--crystal-wobble-cycles 3|--crystal-wobble-phase 45|--block-size 1
--block-size 1 2 3|--mosaicity 0.1|--strain 0.001|--beam-profile flat|--beam-size 0.1
--beam-size 0.1 0.05|--beam-divergence 0.5|--beam-divergence 0.5 0.1|--bandwidth 0.001|--beam-divergence-deg 0.03
--bandwidth-fwhm 0.002|--spectrum s.spec
"""
HANDWRITTEN = [line for row in LINES.strip().splitlines() for line in row.split("|")]
