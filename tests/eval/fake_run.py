"""`eval.run` with a fake engine: `python -m tests.eval.fake_run SECONDS_PER_WORD ARGUMENTS…`"""

import hashlib
import sys
import time

import numpy as np

from eval import judge as judging
from eval import run
from space import parts, prompts
from space.results import Verdict
from tests.fakes import FakeEngine, FakeRetriever


class EchoEngine(FakeEngine):
    """Every answer depends on its prompt, and is full of what a line-based file could stumble over."""

    def stream(self, requests, stop=None):
        for request in requests:
            seen = hashlib.sha256((request.variant.key + prompts.text(request.prompt)).encode()).hexdigest()
            self.replies[request.variant.key] = f"Größe {seen[:6]}\u2028is\x85\x0b93.3% \"so\"\n{{}} {seen[6:8]}"
            yield from super().stream([request], stop)


class HashJudge:
    """Scores by the hash of the item, after `delay_s`."""

    label, identity = "hash judge", {"kind": "local", "name": "hash"}

    def __init__(self, delay_s=0.0):
        self.delay_s = delay_s

    def dollars(self, spent):
        return spent.get("calls", 0) / 1000

    def judge(self, items):
        for item in items:
            time.sleep(self.delay_s)
            score = int(hashlib.sha256(repr(item).encode()).hexdigest()[:4], 16) / 0xffff
            yield item, judging.Judged(score, "", (Verdict(item.answer, score, "a\u2028b"),), {"calls": 1})


def embed(texts):
    """A unit vector for each text, the same in every process."""
    seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
    vectors = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main(delay_s, arguments, engine=None):
    """`eval.run.main` with the fakes in place; they stay there."""
    fake = engine or EchoEngine(delay_s=delay_s)
    parts.load_engine = lambda: fake
    parts.load_retriever = FakeRetriever
    run.embed = embed
    judging.load_judge = lambda kind: None if kind == "none" else HashJudge(3 * delay_s)
    return run.main(arguments)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
