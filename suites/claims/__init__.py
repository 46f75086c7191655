"""Claims about reinforcement learning as experiments that end with a verdict. docs/claims.md."""
