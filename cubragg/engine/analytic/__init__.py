"""Analytic spot profiles: expected photons of each reflection in closed form. `specs/analytic.md`"""
