"""Tests for one planned look: shares, exact, several variants, relative, hypotheses, quantiles."""
