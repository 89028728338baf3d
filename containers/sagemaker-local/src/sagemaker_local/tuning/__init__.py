"""Hyperparameter tuning: values from ranges, child training jobs, the best of them."""
