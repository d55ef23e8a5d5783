"""The values that cross a boundary: variants, passages, examples, answer events.

Everything here is a frozen dataclass without behaviour beyond folding events into an `Answer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Variant:
    """One column. `tuned` says whether the adapter is on, `retrieves` whether passages are read."""

    key: str
    label: str
    tuned: bool
    retrieves: bool


PLAIN = Variant("plain", "Plain", tuned=False, retrieves=False)
TUNED = Variant("tuned", "Fine-tuned", tuned=True, retrieves=False)
TUNED_RAG = Variant("tuned_rag", "Fine-tuned + RAG", tuned=True, retrieves=True)
PLAIN_RAG = Variant("plain_rag", "Plain + RAG", tuned=False, retrieves=True)

CHAT_VARIANTS = (PLAIN, TUNED, TUNED_RAG)
"""The three columns of the chat."""
VARIANTS = {v.key: v for v in (*CHAT_VARIANTS, PLAIN_RAG)}
"""All variants by key; `plain_rag` exists for the evaluation only."""


@dataclass(frozen=True)
class Passage:
    """A retrieved piece of a corpus document. `cosine` is that of its embedding to the question's;
    `score`, by which passages are ranked, is fused from it and BM25. `excerpt` is the part of the
    text that the prompt carries, where the model reads less than the whole."""

    id: str
    text: str
    source: str
    title: str
    heading: str
    score: float = 0.0
    cosine: float = 0.0
    excerpt: str = ""


@dataclass(frozen=True)
class Evidence:
    """An exact quote from the body of a corpus document."""

    document: str
    quote: str


@dataclass(frozen=True)
class Example:
    """A question with its reference answer.

    `split` is train | dev | heldout | paraphrase; `kind` is fact | number | explain | compare |
    unanswerable; `key_facts` are strings that any right answer contains.
    """

    id: str
    question: str
    reference: str
    evidence: tuple[Evidence, ...]
    key_facts: tuple[str, ...]
    kind: str
    split: str
    paraphrase_of: str = ""


@dataclass(frozen=True)
class ModelIdentity:
    """What really produced an answer, read from the files that were loaded."""

    file: str
    sha256: str
    base: str
    architecture: str
    quantization: str
    layers: int
    size_mb: float
    adapter: str = ""
    adapter_sha256: str = ""


@dataclass(frozen=True)
class Sampling:
    """Decoding settings. `temperature` 0 is greedy and ignores `top_p` and `seed`."""

    temperature: float = 0.0
    top_p: float = 0.95
    seed: int = 3407
    max_tokens: int = 100


@dataclass(frozen=True)
class AnswerQueued:
    """The answer waits; `ahead` answers come before it (0 while the model is loading)."""

    variant: str
    ahead: int


@dataclass(frozen=True)
class PromptReading:
    """The model reads the prompt of `prompt_tokens` tokens."""

    variant: str
    prompt_tokens: int


@dataclass(frozen=True)
class PassagesFound:
    """The passages that this variant's prompt carries, best first."""

    variant: str
    passages: tuple[Passage, ...]


@dataclass(frozen=True)
class TextDelta:
    """More text of the answer."""

    variant: str
    text: str


@dataclass(frozen=True)
class AnswerDone:
    """The answer is finished. Times in seconds; `first_token_s` counts from the start of its own
    work, `queued_s` is the wait before that; `decode_tps` is tokens per second after the first."""

    variant: str
    finish: str  # "end" (end token) | "length" | "stopped" | "deadline"
    prompt_tokens: int
    answer_tokens: int
    cached_tokens: int
    queued_s: float
    first_token_s: float
    decode_tps: float
    identity: ModelIdentity


@dataclass(frozen=True)
class AnswerFailed:
    """The answer could not be made; `message` is a sentence for the reader."""

    variant: str
    message: str


AnswerEvent = AnswerQueued | PromptReading | PassagesFound | TextDelta | AnswerDone | AnswerFailed
"""Every stream ends in exactly one AnswerDone or AnswerFailed per variant."""


@dataclass(frozen=True)
class Answer:
    """The events of one variant, folded. Used by the UI, the command line, evaluation and tests."""

    variant: str
    text: str = ""
    passages: tuple[Passage, ...] = field(default=())
    state: str = "waiting"  # waiting | queued | reading | streaming | done | failed
    ahead: int = 0
    prompt_tokens: int = 0
    done: AnswerDone | None = None
    error: str = ""

    def add(self, event: AnswerEvent) -> Answer:
        """Return this answer with `event` folded in; events of other variants change nothing."""
        if event.variant != self.variant:
            return self
        match event:
            case AnswerQueued(ahead=ahead):
                return replace(self, state="queued", ahead=ahead)
            case PromptReading(prompt_tokens=tokens):
                return replace(self, state="reading", prompt_tokens=tokens)
            case PassagesFound(passages=passages):
                return replace(self, passages=passages)
            case TextDelta(text=text):
                return replace(self, state="streaming", text=self.text + text)
            case AnswerDone():
                return replace(
                    self, state="done", done=event, text=self.text.strip(),
                    prompt_tokens=event.prompt_tokens,
                )
            case AnswerFailed(message=message):
                return replace(self, state="failed", error=message)

    @property
    def finished(self) -> bool:
        return self.state in ("done", "failed")
