#!/usr/bin/env bash
# Train with several processes on this machine, one for each GPU, or on the CPU where there is none:
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
# Variables: NNODES, NODE_RANK, MASTER_ADDR, PORT, MAX_RESTARTS, PYTHON.
#
# On several machines call it on each, with the same CONFIG, PROCESSES, NNODES, MASTER_ADDR and PORT. With MAX_RESTARTS
# all processes start again that often after one has died; with --exact --resume they go on from the last checkpoint.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG PROCESSES [options of tools/train.py]" >&2; exit 2; }

CONFIG=$1
PROCESSES=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)
NNODES=${NNODES:-1} NODE_RANK=${NODE_RANK:-0} MASTER_ADDR=${MASTER_ADDR:-127.0.0.1} PORT=${PORT:-29500}
MAX_RESTARTS=${MAX_RESTARTS:-0}

# torchrun would end in a traceback.
case $PORT in '' | *[!0-9]*) echo "error: PORT=$PORT is not a number: choose one, such as PORT=29501" >&2; exit 1 ;; esac
if [ "$NODE_RANK" -eq 0 ] && (exec 3<> "/dev/tcp/$MASTER_ADDR/$PORT") 2> /dev/null; then
    echo "error: PORT=$PORT is taken by another program on $MASTER_ADDR: choose another, such as PORT=$((PORT + 1))" >&2
    exit 1
fi

MEETING=("--node_rank=$NODE_RANK" "--master_addr=$MASTER_ADDR" "--master_port=$PORT")
if [ "$MAX_RESTARTS" -gt 0 ]; then
    # Processes that start again may read the addresses of those before them in the launcher's own store, which is all
    # there is with fixed places: https://github.com/pytorch/pytorch/issues/135712
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    MEETING=(--rdzv_backend=c10d "--rdzv_endpoint=$MASTER_ADDR:$PORT" "--rdzv_id=$PORT")
    MEETING+=("--rdzv_conf=is_host=$((NODE_RANK == 0))")
    [ "$NODE_RANK" -ne 0 ] || MEETING+=("--local_addr=$MASTER_ADDR")
fi

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="$NNODES" \
    --nproc_per_node="$PROCESSES" \
    --max_restarts="$MAX_RESTARTS" \
    "${MEETING[@]}" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
