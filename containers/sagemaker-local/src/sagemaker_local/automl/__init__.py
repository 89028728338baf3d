"""Autopilot's AutoML jobs: candidates that are real training jobs, the best of them ready to deploy."""
