"""The status page at ``/_local/``: what runs, what takes the traffic, what is printed. It only reads."""
