"""Colors and markers that all plots share."""

COLORS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00')
"""Okabe and Ito's colors, which the color-blind can tell apart."""
MARKERS = ('o', 's', '^', 'D', 'v', 'P')
