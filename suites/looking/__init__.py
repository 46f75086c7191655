"""What a planner saw at a decision: played again, turned into something to draw, and drawn."""
