"""From records to verdicts, differences, leaders and figures; and what is frozen of them."""
