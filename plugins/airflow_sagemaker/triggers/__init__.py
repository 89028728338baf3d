"""Triggers, one noun a file: pure data that waits, tails logs and stops on kill. No SDK in here."""
