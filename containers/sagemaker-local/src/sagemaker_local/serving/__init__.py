"""Models that answer: serving containers, fleets of them behind endpoints, and batch transform."""
