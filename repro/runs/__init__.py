"""From a selection of runs to records.

`asked.Asked` (what the user selects) -> `plan.Job` (an experiment, and what to measure) ->
`execute.run` (trains and evaluates it, under a lock, with checkpoints) -> `records.Record`. A
`batch` prepares the data of many jobs and hands them to an engine: here, in processes, or on Ray.
"""
