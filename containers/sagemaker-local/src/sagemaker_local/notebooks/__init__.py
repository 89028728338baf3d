"""Notebook instances: a Jupyter server of the user's own, with files that outlive it."""
