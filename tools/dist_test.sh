#!/usr/bin/env bash
# Test with several processes on this machine, one for each GPU, or on the CPU where there is none:
#   tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
# Variables: NNODES, NODE_RANK, MASTER_ADDR, PORT, PYTHON.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]" >&2; exit 2; }

CONFIG=$1
CHECKPOINT=$2
PROCESSES=$3
TOOLS=$(cd "$(dirname "$0")" && pwd)

NODE_RANK=${NODE_RANK:-0} MASTER_ADDR=${MASTER_ADDR:-127.0.0.1} PORT=${PORT:-29500}

# torchrun would end in a traceback.
case $PORT in '' | *[!0-9]*) echo "error: PORT=$PORT is not a number: choose one, such as PORT=29501" >&2; exit 1 ;; esac
if [ "$NODE_RANK" -eq 0 ] && (exec 3<> "/dev/tcp/$MASTER_ADDR/$PORT") 2> /dev/null; then
    echo "error: PORT=$PORT is taken by another program on $MASTER_ADDR: choose another, such as PORT=$((PORT + 1))" >&2
    exit 1
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" \
    --master_port="$PORT" \
    --nproc_per_node="$PROCESSES" \
    "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
