#!/usr/bin/env bash
# Any job on any master; with no argument the hospital pipeline on this machine.
#   ./spark-submit.sh
#   ./spark-submit.sh jobs/gold.py --domain hospital
#   ./spark-submit.sh --master spark://host:7077 --conf spark.executor.memory=8g jobs/pipeline.py --domain hospital
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/setup.sh

launch=$(python -m lakehouse.launch) || exit $?
eval "$launch"
if [[ $# -eq 0 ]]; then
    set -- jobs/pipeline.py --domain hospital --sample
fi
exec "$SPARK_HOME/bin/spark-submit" "$@"
