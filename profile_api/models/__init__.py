"""The API's answers, with examples: the models of /openapi.json, one file per topic.

Answers are built as plain JSON by `views`; their models here are the documentation: tests compare the two.
"""
