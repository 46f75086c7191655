"""What a part must keep to, by the axis that it is of."""
