"""The obvious script, to measure ours against: TRL's SFTTrainer and a PEFT adapter, nothing else.

Rank, rows, batch, optimizer, schedule, seed and precision are those of the recipe; gradient checkpointing,
TRL's default, is off, as it is in ours on a CPU. What the script does not have is Unsloth, batches of
like length, and a loss over the answers' tokens alone in chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from space import prompts
from train.config import Recipe
from train.rows import Row
from train.tune import LINEAR


def tune(recipe: Recipe, base: Path, rows: Sequence[Row], dev: Sequence[Row], out: Path,
         report: Callable[[dict[str, Any]], None]) -> None:
    """Tune the Hugging Face folder `base` for recipe.max_steps; `report` gets the trainer's log lines of
    steps, and one with `eval_loss` at the end."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    def texts(part: Sequence[Row]) -> Any:
        return Dataset.from_list([{"prompt": prompts.text(r.prompt), "completion": r.answer + prompts.END}
                                  for r in part])

    class Plain(SFTTrainer):
        """TRL 1.15 computes the loss in a Triton kernel, which torch's CPU build lacks: the trainer's own, over
        all logits, takes its place, as in TRL before."""

        read = 0

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False,
                         num_items_in_batch: Any = None) -> Any:
            self.read += int(inputs["attention_mask"].sum()) if model.training else 0
            return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)

    class Report(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            if logs and ("loss" in logs or "eval_loss" in logs):
                report({"step": state.global_step, **logs, "num_tokens": trainer.read})

    dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[recipe.precision]
    trainer = Plain(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=dtype),
        processing_class=AutoTokenizer.from_pretrained(base), train_dataset=texts(rows), eval_dataset=texts(dev),
        peft_config=LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules=LINEAR, task_type="CAUSAL_LM"),
        callbacks=[Report()],
        args=SFTConfig(
            output_dir=str(out), per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=recipe.batch_size, gradient_accumulation_steps=recipe.gradient_accumulation,
            max_steps=recipe.max_steps, warmup_steps=recipe.warmup_steps, learning_rate=recipe.learning_rate,
            optim=recipe.optimizer, weight_decay=recipe.weight_decay, lr_scheduler_type=recipe.scheduler,
            seed=recipe.seed, max_length=recipe.max_length, logging_steps=1, save_strategy="no", report_to="none",
            bf16=recipe.precision == "bf16", use_cpu=True, gradient_checkpointing=False, disable_tqdm=True))
    trainer.train()
    trainer.evaluate()
