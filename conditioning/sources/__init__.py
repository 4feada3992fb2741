"""Where English about characters comes from: Unihan, dictionaries, WordNet."""
