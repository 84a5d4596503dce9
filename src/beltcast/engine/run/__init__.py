"""Run a program: the plan of a run, both back ends and the derivatives."""
