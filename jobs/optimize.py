"""OPTIMIZE every gold table of one domain that is Z-ordered."""

from lakehouse.cli import job_optimize

if __name__ == "__main__":
    job_optimize()
