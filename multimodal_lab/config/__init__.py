"""Check, compose and instantiate configurations, before anything heavy is imported."""
