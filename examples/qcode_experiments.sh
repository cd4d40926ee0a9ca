#!/bin/sh
# The five experiments: a vLLM server on the first of eight GPUs, training by ZeRO-3 on the other seven.
#
#   PROBLEMS=hub:sft_python_q_problems.jsonl OUT=runs sh examples/qcode_experiments.sh [SIZE ...]
#
# PROBLEMS: the published problems, fetched by you (docs/problems.md), or any file of problems. Look first, without a GPU:
#   trimtab qcode train 7b --dry-run
set -eu
OUT=${OUT:-runs}
PROBLEMS=${PROBLEMS:-hub:sft_python_q_problems.jsonl}
WANTED=${*:-1.5b 3b 7b 14b 32b}
ZERO3=$(python -c "from trimtab.qcode.training.planning import launch_file; print(launch_file('zero3'))")

train() {
    size=$1; shift
    model=$1; shift
    case " $WANTED " in *" $size "*) ;; *) return 0 ;; esac
    CUDA_VISIBLE_DEVICES=0 trl vllm-serve --model "$model" --max-model-len 8192 &
    server=$!
    trap 'kill $server' EXIT
    CUDA_VISIBLE_DEVICES=1,2,3,4,5,6,7 accelerate launch --config_file "$ZERO3" --num_processes 7 \
        -m trimtab qcode train "$size" --model "$model" --problems "$PROBLEMS" --output-dir "$OUT" --name "grpo-$size" "$@"
    kill $server
    trap - EXIT
}

train 1.5b morganstanley/qqWen-1.5B-SFT --learning-rate 2e-6
train 3b morganstanley/qqWen-3B-SFT --learning-rate 2e-6
train 7b morganstanley/qqWen-7B-SFT --learning-rate 2e-6
train 14b morganstanley/qqWen-14B-SFT --learning-rate 2e-6 --use-reasoning-format
train 32b morganstanley/qqWen-32B-SFT --learning-rate 2e-6 --use-reasoning-format
