"""The page about the last run of one domain, or about another run."""

from lakehouse.cli import job_report

if __name__ == "__main__":
    job_report()
