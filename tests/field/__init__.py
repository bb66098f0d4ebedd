"""What breaks on real inputs: a test for each public report of people who do this job. `rows.py` lists the reports."""
