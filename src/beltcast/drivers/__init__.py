"""What drives the answer and what to do: attribution, scenarios, sensitivity, loops, policy."""
