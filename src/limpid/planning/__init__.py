"""From a request and a profile to a plan with reasons, and from a plan to assembled parts."""
