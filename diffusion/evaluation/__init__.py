"""How good a pipeline is: `Evaluator` measures, `report` writes, `distances` compares sets."""
