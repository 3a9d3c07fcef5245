"""The rows of one domain that are held back, counted by reason."""

from lakehouse.cli import job_quarantine


def main() -> None:
    """Run the job; its options are those of the command line."""
    job_quarantine()


if __name__ == "__main__":
    main()
