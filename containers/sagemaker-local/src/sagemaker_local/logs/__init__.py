"""A durable store of log events with CloudWatch Logs' groups, streams and reading order."""
