"""The gate for others over HTTP: Flagger's webhooks, Argo Rollouts' web metric, verdicts."""
