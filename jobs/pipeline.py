"""Bronze, silver and gold of one domain."""

from lakehouse.cli import job

if __name__ == "__main__":
    job("bronze", "silver", "gold")
