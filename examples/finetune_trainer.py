"""Finetune a language model with LoRA on the texts that stand for all, through a plain Trainer:
python examples/finetune_trainer.py --model MODEL --data texts.jsonl -n 500     (needs peft)
"""

import argparse

import transformers
from datasets import load_dataset
from peft import LoraConfig, get_peft_model

import skmm_fast as skmm
from skmm_fast.gradients import GradientSketcher, sketch_dataset

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True, help="a name on the Hugging Face hub, or a folder")
parser.add_argument("--data", required=True, help='JSON lines with "text"')
parser.add_argument("-n", type=int, required=True, help="how many texts to choose")
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--out", default="out")
args = parser.parse_args()
tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
rows = load_dataset("json", data_files=args.data, split="train")
rows = rows.map(lambda row: {"input_ids": tokenizer(row["text"], truncation=True)["input_ids"]})
lora = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", r=8)
collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm=False)


def trained(rows, steps):
    model = get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(args.model), lora)
    config = transformers.TrainingArguments(args.out, max_steps=steps, report_to=[])
    made = transformers.Trainer(model, config, train_dataset=rows, data_collator=collator)
    return made if made.train() else None


warm = trained(rows, max(1, args.steps // 10))  # fresh adapters have no gradients worth sketching
sketcher = GradientSketcher(warm.model.eval(), params="trainable", loss="causal-lm")
store = sketch_dataset(sketcher, warm, f"{args.out}/sketches", token_budget=4096)
selection = skmm.select(store, args.n, seed=0)
trained(rows.select(selection.indices), args.steps).save_model(f"{args.out}/adapter")
