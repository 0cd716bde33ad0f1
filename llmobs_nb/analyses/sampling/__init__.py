"""What to judge or read: the plan, the draw, rules before the judge, the judge, and its results as scores."""
