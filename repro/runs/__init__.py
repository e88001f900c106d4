"""From what is asked for to records: plan, execute, and what is known of a run meanwhile."""
