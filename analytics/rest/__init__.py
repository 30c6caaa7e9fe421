"""The analytics REST API: each endpoint validates its parameters, asks `analytics.queries`, and answers JSON or CSV."""
