"""LoRA fine-tuning with Unsloth: on a GPU, or on a CPU through Unsloth's CPU backend."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space import prompts
from space.errors import UserError
from train import checkpoints, device, order
from train.accuracy import Choice, accuracy
from train.base import tokenize_with
from train.config import Recipe
from train.dataset import chat_row
from train.rows import Row

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")

SAVE_STEPS = 50
"""Steps between two checkpoints, beside one at the end of every epoch."""
LOGGED = ("loss", "eval_loss", "eval_accuracy", "learning_rate", "grad_norm", "epoch")
"""What the log takes from the trainer."""
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@dataclass
class Outcome:
    """What a run gave: the PEFT adapter's folder and the loss curves. `first` is false in all but one
    of several processes."""

    adapter: Path
    steps: int
    train_loss: list[tuple[float, float]] = field(default_factory=list)
    eval_loss: list[tuple[float, float]] = field(default_factory=list)  # (epoch, loss on dev)
    accuracy: list[tuple[float, float]] = field(default_factory=list)  # (epoch, share of dev's choices that are right)
    best_epoch: float = 0.0
    trainable_parameters: int = 0
    dtype: str = ""
    load_in_4bit: bool = False
    optimizer: str = ""  # the one that ran: without CUDA an 8-bit one gives way to AdamW in 32 bits
    processes: int = 1
    first: bool = True


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


def tune(recipe: Recipe, base: Path, train_rows: Sequence[Row], dev_rows: Sequence[Row], out: Path,
         report: Callable[[dict[str, Any]], None], save_steps: int = SAVE_STEPS,
         choices: Sequence[Choice] = ()) -> Outcome:
    """Fine-tune the Hugging Face folder `base`, from the last whole checkpoint under `out` where there
    is one; log lines go to `report`, one for every step and one for every evaluation. Where there are `choices`,
    their options are compared after every epoch, and the epoch with most hits is the best.

    Under torchrun every process calls this; the rows of a step are shared out among them, and only the
    first writes files. Raises UserError where a loss is no number or a file cannot be written; finished
    checkpoints stay.
    """
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    trainer, plan = _make_trainer(recipe, base, (train_rows, dev_rows, choices), out, report, save_steps)
    saved = out / "checkpoints"
    if trainer.is_world_process_zero():
        checkpoints.remove_broken(saved)
    last = checkpoints.last_whole(saved)
    adapter = out / "adapter"
    try:
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.is_world_process_zero():
            trainer.model.save_pretrained(str(adapter))
    except Exception as error:
        if sentence := _writing_trouble(error, saved):
            raise sentence from error
        raise
    history = trainer.state.log_history
    evals = [(h["epoch"], h["eval_loss"]) for h in history if "eval_loss" in h]
    hits = [(h["epoch"], h["eval_accuracy"]) for h in history if "eval_accuracy" in h]
    parameters = list(trainer.model.parameters())
    return Outcome(
        adapter=adapter, steps=trainer.state.global_step,
        train_loss=[(h["step"], h["loss"]) for h in history if "loss" in h], eval_loss=evals,
        accuracy=hits, best_epoch=_best_epoch(recipe, evals, hits),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        dtype=str(parameters[0].dtype).removeprefix("torch."), load_in_4bit=plan.load_in_4bit,
        optimizer=str(getattr(trainer.args.optim, "value", trainer.args.optim)),
        processes=trainer.args.world_size, first=trainer.is_world_process_zero())


def _best_epoch(recipe: Recipe, losses: Sequence[tuple[float, float]], hits: Sequence[tuple[float, float]]) -> float:
    """The epoch whose adapter was kept, of (epoch, value) pairs; of equals the first, as the trainer has it."""
    if not losses:
        return 0.0
    if not recipe.keep_best:
        return losses[-1][0]
    return max(hits, key=lambda at: at[1])[0] if hits else min(losses, key=lambda at: at[1])[0]


def _writing_trouble(error: Exception, saved: Path) -> UserError | None:
    """The sentence for a file that could not be written; None for any other error.

    torch tells a full disk as a RuntimeError of its own, safetensors as an exception of its own.
    """
    words = str(error).lower()
    full = "no space left" in words or "quota" in words or "file too large" in words
    if not full and "failed writing file" not in words and "unexpected pos" not in words:
        return None
    last = checkpoints.last_whole(saved)
    kept = (f"The checkpoint of step {checkpoints.step_of(last)} is whole; make room and run the same command again: "
            "it goes on from there." if last else "Make room and run the same command again.")
    return UserError(f"A file of the run cannot be written in {saved.parent}: the disk is full.", kept)


def _make_trainer(recipe: Recipe, base: Path, data: tuple[Sequence[Row], Sequence[Row], Sequence[Choice]], out: Path,
                  report: Callable[[dict[str, Any]], None], save_steps: int) -> tuple[Any, device.Plan]:
    import unsloth  # before trl and transformers, which it patches  # noqa: F401, I001
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq
    from transformers.trainer_callback import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    model, tokenizer, plan = _load(recipe, base)
    train_rows, dev_rows, choices = data
    if recipe.chat_template:
        tokenizer = check_template([*train_rows, *dev_rows], tokenizer, recipe.chat_template)
    train, dev = (encode_rows(rows, tokenizer, recipe.max_length, recipe.num_proc) for rows in (train_rows, dev_rows))
    options = [(encode_rows(choice.rows, tokenizer, recipe.max_length), choice.right) for choice in choices]
    batch, accumulation = order.share(recipe.batch_size, recipe.gradient_accumulation, _processes())
    sampler = order.EpochOrder([len(row["input_ids"]) for row in train], recipe.batch_size
                               * recipe.gradient_accumulation, recipe.seed, recipe.group_by_length)

    class Trainer(SFTTrainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return sampler

        def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
            metrics = super().evaluate(*args, **kwargs)
            if options:
                with self.compute_loss_context_manager():
                    metrics["eval_accuracy"] = accuracy(self.model, options)
                self.log({"eval_accuracy": metrics["eval_accuracy"]})
            return metrics

    config = SFTConfig(
        output_dir=str(out / "checkpoints"), per_device_train_batch_size=batch,
        per_device_eval_batch_size=recipe.batch_size, eval_accumulation_steps=1,
        gradient_accumulation_steps=accumulation, warmup_steps=recipe.warmup_steps,
        num_train_epochs=recipe.epochs, max_steps=recipe.max_steps, learning_rate=recipe.learning_rate,
        optim=recipe.optimizer, weight_decay=recipe.weight_decay, lr_scheduler_type=recipe.scheduler,
        seed=recipe.seed, logging_steps=1, logging_nan_inf_filter=False, eval_strategy="epoch",
        save_strategy="epoch", save_total_limit=3, load_best_model_at_end=recipe.keep_best,
        metric_for_best_model="eval_accuracy" if options else "eval_loss", greater_is_better=bool(options),
        report_to="none", packing=recipe.packing,
        bf16=plan.precision == "bf16", fp16=plan.precision == "fp16", max_length=recipe.max_length,
        gradient_checkpointing=plan.on_gpu, dataset_kwargs={"skip_prepare_dataset": True}, disable_tqdm=True,
        remove_unused_columns=False, dataloader_pin_memory=plan.on_gpu, ddp_find_unused_parameters=False)
    trainer = Trainer(
        model=model, processing_class=tokenizer, args=config, train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(dev), callbacks=[_watch(report, sampler, save_steps)],
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100))
    trainer.remove_callback(PrinterCallback)
    return trainer, plan


def _load(recipe: Recipe, base: Path) -> tuple[Any, Any, device.Plan]:
    """The model with a fresh adapter, its tokenizer, and how they compute here."""
    import unsloth  # before torch's users  # noqa: I001
    import torch
    from unsloth import FastLanguageModel

    # on a CPU, bfloat16 is supported where it has AVX512-BF16 or AMX
    plan = device.choose(recipe, torch.cuda.is_available(), unsloth.is_bfloat16_supported())
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    model, tokenizer = FastLanguageModel.from_pretrained(
        str(base), max_seq_length=recipe.max_length, load_in_4bit=plan.load_in_4bit,
        dtype=None if recipe.precision == "auto" else dtypes[recipe.precision],
        use_gradient_checkpointing="unsloth" if plan.on_gpu else False)
    model = FastLanguageModel.get_peft_model(
        model, r=recipe.rank, target_modules=LINEAR, lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout, bias="none", random_state=recipe.seed,
        use_gradient_checkpointing="unsloth" if plan.on_gpu else False)
    return model, tokenizer, plan


def _watch(report: Callable[[dict[str, Any]], None], sampler: order.EpochOrder, save_steps: int) -> Any:
    """What happens beside the trainer's own work: the epoch's order, log lines, checkpoints and seals."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        last, tokens = time.monotonic(), 0.0

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            sampler.epoch = int((state.epoch or 0) + 1e-6)

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.last = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_save |= state.global_step % save_steps == 0

        def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **_: Any) -> None:
            line = {"step": state.global_step, "steps": state.max_steps,
                    **{key: value for key, value in (logs or {}).items() if key in LOGGED}}
            for key in ("loss", "eval_loss"):
                if key in line and not math.isfinite(float(line[key])):
                    raise UserError(f"The {key} became {line[key]} at step {state.global_step}.",
                                    "Lower learning_rate in the recipe; finished checkpoints are kept.")
            if "loss" in line:
                tokens = (logs or {}).get("num_tokens", self.tokens)
                line["tokens_per_s"] = round((tokens - self.tokens) / max(time.monotonic() - self.last, 1e-6), 1)
                line["memory_mb"] = device.peak_memory_mb()
                self.tokens = tokens
            if state.is_world_process_zero and {"loss", "eval_loss", "eval_accuracy"} & line.keys():
                report(line)

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Watch()


def _processes() -> int:
    """How many processes torchrun or accelerate started for this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


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
