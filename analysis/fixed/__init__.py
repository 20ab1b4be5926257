"""Tests for one planned look: proportions, exact, several_arms, relative, hypotheses, quantiles."""
