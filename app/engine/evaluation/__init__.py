"""The evaluator of expressions: Jinja2's trees, walked with a count of what that takes."""
