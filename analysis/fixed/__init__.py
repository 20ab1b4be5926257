"""Tests for one planned look: shares, exact, several arms, relative, hypotheses, quantiles."""
