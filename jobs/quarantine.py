"""The rows of one domain that are held back, counted by reason."""

from lakehouse.cli import job_quarantine

if __name__ == "__main__":
    job_quarantine()
