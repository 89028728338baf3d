"""How a container image's program is run on this machine."""
