"""What nets score and what they cost: accuracy, MACs and parameters, time, memory; and on which device."""
