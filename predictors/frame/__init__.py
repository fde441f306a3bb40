"""What all built-in predictors share: encoding, target transform, calibration and storage."""
