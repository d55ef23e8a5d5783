"""LoRA fine-tuning with Unsloth: on a GPU, or on a CPU through Unsloth's CPU backend."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from train import device
from train.base import tokenize_with
from train.config import Recipe
from train.dataset import chat_row
from train.rows import Row

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Outcome:
    """What a run gave: the PEFT adapter's folder, the loss curves and the time it took."""

    adapter: Path
    steps: int
    minutes: float
    train_loss: list[tuple[float, float]] = field(default_factory=list)
    eval_loss: list[tuple[float, float]] = field(default_factory=list)  # (epoch, loss on dev)
    best_epoch: float = 0.0
    trainable_parameters: int = 0
    dtype: str = ""
    load_in_4bit: bool = False


def encode_rows(rows: Sequence[Row], tokenizer: Any, max_length: int, num_proc: int = 1) -> list[dict[str, list[int]]]:
    """Token ids and labels; the loss is on the answer and its end token alone."""
    num_proc = min(num_proc, len(rows))
    if num_proc > 1:
        from datasets import Dataset

        places = Dataset.from_dict({"place": list(range(len(rows)))})
        encoded = places.map(lambda item: _encode(rows[item["place"]], tokenizer), num_proc=num_proc,
                             remove_columns=["place"], load_from_cache_file=False).to_list()
    else:
        encoded = [_encode(row, tokenizer) for row in rows]
    for row, values in zip(rows, encoded, strict=True):  # here, as an error of a worker process would lose its hint
        if len(values["input_ids"]) > max_length:
            raise UserError(f"The training row of {row.example_id} has {len(values['input_ids'])} tokens, "
                            f"more than max_length = {max_length}.", "Raise max_length in the recipe.")
    return encoded


def _encode(row: Row, tokenizer: Any) -> dict[str, list[int]]:
    tokenize = tokenize_with(tokenizer)
    prompt = prompts.encode(row.prompt, tokenize)
    answer = tokenize(row.answer, False) + tokenize(prompts.END, True)
    return {"input_ids": prompt + answer, "attention_mask": [1] * (len(prompt) + len(answer)),
            "labels": [-100] * len(prompt) + answer}


def check_template(rows: Sequence[Row], tokenizer: Any, name: str) -> Any:
    """The tokenizer with Unsloth's chat template `name`, after a look that this template, fed with the rows
    as ShareGPT conversations, gives exactly the text that is trained on and served.

    Raises UserError for the first row whose text differs.
    """
    from datasets import Dataset
    from unsloth.chat_templates import get_chat_template, standardize_sharegpt

    tokenizer = get_chat_template(tokenizer, chat_template=name)
    shared = Dataset.from_list([{"conversations": chat_row(row)["conversations"]} for row in rows])
    for row, item in zip(rows, standardize_sharegpt(shared, num_proc=1), strict=True):
        text = tokenizer.apply_chat_template(item["conversations"], tokenize=False)
        if text.rstrip("\n") != prompts.text(row.prompt) + row.answer + prompts.END:
            raise UserError(f"Unsloth's chat template {name} gives other text than space/prompts.py for the row "
                            f"of {row.example_id}.", "Leave chat_template out of the recipe.")
    return tokenizer


def tune(recipe: Recipe, base: Path, train_rows: Sequence[Row], dev_rows: Sequence[Row],
         out: Path, report: Callable[[dict[str, Any]], None]) -> Outcome:
    """Fine-tune the Hugging Face folder `base`; log lines go to `report`, files under `out`."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    import unsloth  # before trl and transformers, which it patches  # noqa: F401, I001
    import torch
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, TrainerCallback
    from trl import SFTConfig, SFTTrainer
    from unsloth import FastLanguageModel

    # on a CPU, bfloat16 is supported where it has AVX512-BF16 or AMX
    plan = device.choose(recipe, torch.cuda.is_available(), unsloth.is_bfloat16_supported())
    on_gpu = plan.on_gpu
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    model, tokenizer = FastLanguageModel.from_pretrained(
        str(base), max_seq_length=recipe.max_length, load_in_4bit=plan.load_in_4bit,
        dtype=None if recipe.precision == "auto" else dtypes[recipe.precision],
        use_gradient_checkpointing="unsloth" if on_gpu else False)
    model = FastLanguageModel.get_peft_model(
        model, r=recipe.rank, target_modules=LINEAR, lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout, bias="none", random_state=recipe.seed,
        use_gradient_checkpointing="unsloth" if on_gpu else False)
    if recipe.chat_template:
        tokenizer = check_template([*train_rows, *dev_rows], tokenizer, recipe.chat_template)

    class Log(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            line = {"step": state.global_step, "steps": state.max_steps, **(logs or {})}
            for key in ("loss", "eval_loss"):
                if key in line and not math.isfinite(float(line[key])):
                    raise UserError(f"The {key} became {line[key]} at step {state.global_step}.",
                                    "Lower learning_rate in the recipe.")
            report(line)

    config = SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size, eval_accumulation_steps=1,
        gradient_accumulation_steps=recipe.gradient_accumulation, warmup_steps=recipe.warmup_steps,
        num_train_epochs=recipe.epochs, max_steps=recipe.max_steps, learning_rate=recipe.learning_rate,
        optim=recipe.optimizer, weight_decay=recipe.weight_decay, lr_scheduler_type=recipe.scheduler,
        seed=recipe.seed, logging_steps=1, eval_strategy="epoch" if recipe.max_steps < 0 else "no",
        save_strategy="epoch" if recipe.max_steps < 0 else "no", save_total_limit=2,
        load_best_model_at_end=recipe.keep_best and recipe.max_steps < 0,
        metric_for_best_model="eval_loss", greater_is_better=False, report_to="none", packing=recipe.packing,
        bf16=plan.precision == "bf16", fp16=plan.precision == "fp16", max_length=recipe.max_length,
        train_sampling_strategy="group_by_length" if recipe.group_by_length else "random",
        gradient_checkpointing=on_gpu, dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False, dataloader_pin_memory=on_gpu)
    trainer = SFTTrainer(
        model=model, processing_class=tokenizer, args=config,
        train_dataset=Dataset.from_list(encode_rows(train_rows, tokenizer, recipe.max_length, recipe.num_proc)),
        eval_dataset=Dataset.from_list(encode_rows(dev_rows, tokenizer, recipe.max_length, recipe.num_proc)),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100), callbacks=[Log()])
    started = time.monotonic()
    trainer.train()
    minutes = (time.monotonic() - started) / 60
    adapter = out / "adapter"
    model.save_pretrained(str(adapter))
    history = trainer.state.log_history
    evals = [(h["epoch"], h["eval_loss"]) for h in history if "eval_loss" in h]
    return Outcome(
        adapter=adapter, steps=trainer.state.global_step, minutes=round(minutes, 1),
        train_loss=[(h["step"], h["loss"]) for h in history if "loss" in h], eval_loss=evals,
        best_epoch=(min(evals, key=lambda e: e[1]) if recipe.keep_best else evals[-1])[0] if evals else 0.0,
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        dtype=str(next(model.parameters()).dtype).removeprefix("torch."), load_in_4bit=plan.load_in_4bit)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, replacing the file whole; NaN is an error."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def hardware() -> str:
    """The processor or GPU, and how many cores this process may use."""
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU, {cores} cores, {torch.backends.cpu.get_cpu_capability()}"


def packages() -> dict[str, str]:
    """Versions of what training depends on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "peft", "unsloth", "datasets")}
