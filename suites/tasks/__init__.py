"""Tasks: DM Control in compiled code, and your own."""
