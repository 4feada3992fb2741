"""How good a pipeline is: `evaluator` draws and measures by `measures`, `report` writes."""
