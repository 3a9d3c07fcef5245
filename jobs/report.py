"""The page about the last run of one domain, or about another run."""

from lakehouse.cli import job_report


def main() -> None:
    """Run the job; its options are those of the command line."""
    job_report()


if __name__ == "__main__":
    main()
