"""Drivers and decisions: attribution, scenarios, sensitivity, loops, discovery, policy, price."""
