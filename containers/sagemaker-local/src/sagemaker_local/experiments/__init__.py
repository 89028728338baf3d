"""Experiments, their trials, and the trial components that belong to trials."""
