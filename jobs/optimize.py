"""OPTIMIZE every gold table of one domain that is Z-ordered."""

from lakehouse.cli import job_optimize


def main() -> None:
    """Run the job; its options are those of the command line."""
    job_optimize()


if __name__ == "__main__":
    main()
