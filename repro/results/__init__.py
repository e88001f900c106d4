"""From records to verdicts, differences, leaders and figures; and the frozen results."""
