#!/usr/bin/env bash
# Train on a Slurm cluster:
#   tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# Variables: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, PYTHON, GRACE.
#
# With --exact, Slurm sends SIGTERM GRACE seconds (120) before the time limit, as it does before a pre-emption; the run
# then saves itself and ends with status 75. Inside a batch job the job is requeued, and resumes; called from a login
# node, the script submits it again, with --resume.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]" >&2; exit 2; }

GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-$((GPUS < 8 ? GPUS : 8))}
TOOLS=$(cd "$(dirname "$0")" && pwd)
read -ra EXTRA <<<"${SRUN_ARGS:-}"
EXACT='' AGAIN=()
for option in "${@:5}"; do
    if [ "$option" = --exact ]; then EXACT=1; fi
done
[ -z "$EXACT" ] || EXTRA=("--signal=TERM@${GRACE:-120}" "${EXTRA[@]}")
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"

train() {
    srun -p "$1" \
        --job-name="$2" \
        --gres="gpu:$GPUS_PER_NODE" \
        --ntasks="$GPUS" \
        --ntasks-per-node="$GPUS_PER_NODE" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        "${EXTRA[@]}" \
        "${PYTHON:-python}" -u "$TOOLS/train.py" "$3" --work-dir="$4" --launcher=slurm "${@:5}" "${AGAIN[@]}"
}

# A job that Slurm started again goes on where it stopped.
if [ -n "$EXACT" ] && [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then AGAIN=(--resume); fi
# Bash itself is signaled too where Slurm signals a whole batch job: it waits for srun, which passes the signal on.
[ -z "$EXACT" ] || trap : TERM
while :; do
    status=0
    train "$@" || status=$?
    if [ "$status" -ne 75 ]; then exit "$status"; fi
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        scontrol requeue "$SLURM_JOB_ID"
        exit "$status"
    fi
    AGAIN=(--resume) # the last one counts, whatever the caller's options resume
done
