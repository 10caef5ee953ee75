"""What the API answers, with examples: the models behind /openapi.json, a file per topic.

Answers are built as plain JSON by `views`; their models here are the documentation: tests compare the two.
"""
