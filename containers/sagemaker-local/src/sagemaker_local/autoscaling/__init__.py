"""Application Auto Scaling of endpoint variants: targets, policies, schedules, and what comes of them."""
