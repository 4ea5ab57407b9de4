"""The images: of tables, of seeds, of curves over epochs, of sweeps, and of detections."""
