"""From an image URI to something that runs on this machine, without a container engine."""
