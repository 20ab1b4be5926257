"""Tests valid at any look: sprt, regression_t, multinomial, bernoulli, ramp ...

Below them dirichlet, e_values, roots; beside them group_sequential for looks that are planned.
"""
