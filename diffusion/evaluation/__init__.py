"""How good a pipeline is: `Evaluator` measures by `sections` and `distances`, `report` writes."""
