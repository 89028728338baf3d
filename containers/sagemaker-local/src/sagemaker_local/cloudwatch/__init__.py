"""CloudWatch metrics and alarms: what endpoints and jobs publish, kept, queried and watched."""
