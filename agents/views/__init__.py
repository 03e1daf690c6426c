"""The pages of what an operator writes down."""
