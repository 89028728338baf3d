"""Faults on request: what AWS does to a client on a bad day, for tests and for people who want to see it."""
