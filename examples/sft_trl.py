"""Finetune a language model with LoRA on the texts that stand for all, through TRL:
python examples/sft_trl.py --model MODEL --data texts.jsonl -n 500     (needs trl and peft)
"""

import argparse

import torch
from datasets import load_dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset

GPU = torch.cuda.is_available()
parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="a name on the Hugging Face hub, or a folder")
parser.add_argument(
    "--data", required=True, help='JSON lines with "text", or "prompt"/"completion"'
)
parser.add_argument("-n", type=int, required=True, help="how many texts to choose")
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--out", default="out")
args = parser.parse_args()
texts = load_dataset("json", data_files=args.data, split="train")


def trainer(rows, steps):
    config = SFTConfig(args.out, max_steps=steps, report_to=[], bf16=GPU, use_cpu=not GPU)
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=8)
    return SFTTrainer(args.model, args=config, train_dataset=rows, peft_config=lora)


warm = trainer(texts, max(1, args.steps // 10))  # fresh adapters have no gradients worth sketching
warm.train()
sketcher = GradientSketcher(warm.model.eval(), params="trainable", loss="causal-lm")
store = sketch_dataset(sketcher, warm, f"{args.out}/sketches", token_budget=4096)
final = trainer(texts.select(skmm.select(store, args.n).indices), args.steps)
final.train()
final.save_model(f"{args.out}/adapter")
