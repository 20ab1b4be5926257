"""Tests valid at any look: sprt, regression_t, multinomial, bernoulli, ramp, quantiles ...

Below them dirichlet, e_values, roots; beside them stochastic_order, and group_sequential for
looks that are planned.
"""
