"""Jobs: their states as data, their life from Create to its end, and the /opt/ml that their programs see."""
