"""Plots of tables, seeds, curves over epochs, sweeps, and detections."""
