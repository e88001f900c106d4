"""From a selection of runs to records: plan, execute, and report the state of runs."""
