"""Notebooks in Databricks source format, one per audience, and what turns them into Jupyter's."""
