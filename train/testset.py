"""Questions written by an OpenAI-compatible model through RAGAS' TestsetGenerator.

One unit is one small knowledge graph: summaries, themes and entities of its passages, edges between
passages that share them, then single-hop and multi-hop questions. Importing this module imports
ragas, which takes seconds; nothing else of the product does.

Three things differ from ragas' defaults, each for a reason. Its chunk tokeniser is downloaded at first
use; ours comes with the embedder. Its entity edges are fuzzy (Jaro-Winkler .9) and would tie
DeepSeek-V2 to DeepSeek-V3; ours want the same name. Its random choices depend on the order in which
answers arrive; ours are seeded by what is chosen from, so that a unit done again asks the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import os
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # ragas reads it once, when it is imported

from ragas.embeddings.base import BaseRagasEmbedding  # noqa: E402
from ragas.llms import InstructorBaseRagasLLM  # noqa: E402
from ragas.run_config import RunConfig  # noqa: E402
from ragas.testset import TestsetGenerator  # noqa: E402
from ragas.testset.graph import KnowledgeGraph, Node, NodeType, Relationship  # noqa: E402
from ragas.testset.persona import Persona  # noqa: E402
from ragas.testset.synthesizers.multi_hop import (  # noqa: E402
    MultiHopAbstractQuerySynthesizer,
    MultiHopSpecificQuerySynthesizer,
)
from ragas.testset.synthesizers.prompts import ThemesPersonasMatchingPrompt  # noqa: E402
from ragas.testset.synthesizers.single_hop.specific import SingleHopSpecificQuerySynthesizer  # noqa: E402
from ragas.testset.transforms import apply_transforms  # noqa: E402
from ragas.testset.transforms.base import RelationshipBuilder  # noqa: E402
from ragas.testset.transforms.extractors import EmbeddingExtractor, SummaryExtractor  # noqa: E402
from ragas.testset.transforms.extractors.llm_based import NERExtractor, ThemesExtractor  # noqa: E402
from ragas.testset.transforms.relationship_builders import CosineSimilarityBuilder  # noqa: E402
from ragas.tokenizers import BaseTokenizer  # noqa: E402

from space import models, retriever  # noqa: E402
from space.schema import Passage  # noqa: E402
from train.chat_client import ChatClient  # noqa: E402
from train.evidence import make_row  # noqa: E402
from train.units import Unit, UnitFailed, Usage, Written  # noqa: E402

logging.getLogger("ragas").setLevel(logging.CRITICAL)  # every failure is reported by the caller

PERSONAS = {
    "Student": "Is new to large language models and wants to understand terms, methods and results.",
    "Engineer": "Trains and serves models and wants concrete figures, settings, limits and trade-offs.",
    "Researcher": "Compares methods and wants to know what was measured, against what, and why it works.",
}
GUIDANCE = (
    "Ask about one concrete thing that the context states: a number, a name, a part, a reason. The question must "
    "be understood without the context: name the model, paper or system it is about, never 'the text' or 'the "
    "context'. Do not give the answer away in the question. Answer in one or two plain sentences of 15 to 60 words "
    "in all, in the context's own words and with its exact numbers and names."
)
SHARES = (0.6, 0.25, 0.15)
"""Single-hop, multi-hop over shared entities, multi-hop over similar summaries."""
SIMILAR = 0.7
"""Cosine of two summaries from which ragas takes them for neighbours."""


class _Model(InstructorBaseRagasLLM):
    """ragas' view of the chat client. Blocking calls in threads: ragas opens a new event loop for each
    step, which pooled asynchronous connections do not survive."""

    is_async = True

    def __init__(self, client: ChatClient) -> None:
        self._client = client

    def generate(self, prompt: str, response_model: Any) -> Any:
        return self._client.ask(prompt, response_model)

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        return await asyncio.to_thread(self._client.ask, prompt, response_model)


class _Embedder(BaseRagasEmbedding):
    """The product's own embedder, on this machine."""

    is_async = True

    def __init__(self) -> None:
        super().__init__()
        self._model = retriever.load_embedder(models.EMBEDDER)

    def embed_text(self, text: str, **kwargs: Any) -> list[float]:
        return retriever.embed(self._model, [text])[0].tolist()

    async def aembed_text(self, text: str, **kwargs: Any) -> list[float]:
        return self.embed_text(text)


class ReversibleTokenizer(BaseTokenizer):
    """The embedder's word pieces, cut where it cuts but kept as written: ragas decodes what it encoded
    and shows it to the model, and the embedder's own decoding is lower case."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self._cutter = Tokenizer.from_file(str(models.resolve(models.EMBEDDER) / "tokenizer.json"))
        self._cutter.no_truncation()
        self._cutter.no_padding()
        self._pieces: list[str] = []
        self._ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        starts = [start for start, end in self._cutter.encode(text, add_special_tokens=False).offsets if end > start]
        edges = [0, *sorted(set(starts) - {0}), len(text)]
        return [self._id(text[a:b]) for a, b in itertools.pairwise(edges) if b > a]

    def decode(self, tokens: list[int]) -> str:
        return "".join(self._pieces[token] for token in tokens)

    def _id(self, piece: str) -> int:
        if piece not in self._ids:
            self._ids[piece] = len(self._pieces)
            self._pieces.append(piece)
        return self._ids[piece]


@dataclass
class _SharedEntities(RelationshipBuilder):
    """An edge between passages that name the same thing, save what most of them name."""

    async def transform(self, kg: KnowledgeGraph) -> list[Relationship]:
        names = [{e.lower(): e for e in reversed(node.get_property("entities") or [])} for node in kg.nodes]
        common = {name for own in names for name in own
                  if len(kg.nodes) > 3 and sum(name in other for other in names) > len(kg.nodes) / 2}
        edges = []
        for (i, first), (j, second) in itertools.combinations(enumerate(names), 2):
            if shared := sorted(first[name] for name in first.keys() & second.keys() - common):
                edges.append(Relationship(source=kg.nodes[i], target=kg.nodes[j], type="entities_overlap",
                                          properties={"overlapped_items": shared}))
        return edges


class _Matching(ThemesPersonasMatchingPrompt):
    """ragas stops at a persona that the model invented; here it is left out, and where none is left
    every persona has every theme."""

    def process_output(self, output: Any, input: Any) -> Any:
        known = {p.name: output.mapping[p.name] for p in input.personas if output.mapping.get(p.name)}
        output.mapping = known or {p.name: list(input.themes) for p in input.personas}
        return output


class _Seeded:
    """Random choices that depend on what is chosen from alone, and never more scenarios than wanted."""

    wanted = 0
    hops = 1

    async def _generate_scenarios(self, *args: Any, **kwargs: Any) -> list[Any]:
        found = await super()._generate_scenarios(*args, **kwargs)  # type: ignore[misc]
        return [s for s in found if len(s.nodes) >= self.hops][:self.wanted]

    def sample_combinations(self, data: Any, num_samples: int) -> Any:
        random.seed(str([(e["node"].id, e["terms"]) for e in data]))
        return super().sample_combinations(data, num_samples)  # type: ignore[misc]

    def sample_diverse_combinations(self, data: Any, num_samples: int) -> Any:
        random.seed(str([([n.id for n in e["nodes"]], e["combination"]) for e in data]))
        return super().sample_diverse_combinations(data, num_samples)  # type: ignore[misc]


class _SingleHop(_Seeded, SingleHopSpecificQuerySynthesizer):
    def _extract_themes_from_items(self, items: Any) -> list[str]:
        return sorted(super()._extract_themes_from_items(items))


class _MultiHopSpecific(_Seeded, MultiHopSpecificQuerySynthesizer):
    hops = 2

    def _extract_themes_from_overlaps(self, overlapped_items: Any) -> list[str]:
        return sorted(super()._extract_themes_from_overlaps(overlapped_items))

    def get_node_clusters(self, knowledge_graph: KnowledgeGraph) -> list[tuple]:
        return sorted(super().get_node_clusters(knowledge_graph), key=lambda t: (t[0].id.hex, t[-1].id.hex))


class _MultiHopAbstract(_Seeded, MultiHopAbstractQuerySynthesizer):
    hops = 2

    def get_node_clusters(self, knowledge_graph: KnowledgeGraph, n: int = 1) -> list:
        if not any(r.get_property(self.relation_property) for r in knowledge_graph.relationships):
            return []
        found = super().get_node_clusters(knowledge_graph, n)
        return sorted((sorted(c, key=lambda node: node.id.hex) for c in found), key=lambda c: [x.id.hex for x in c])


class TestsetWriter:
    """Writes the rows of a unit through ragas."""

    __test__ = False  # for pytest, which takes the name for a test

    def __init__(self, client: ChatClient, bodies: Mapping[str, str], workers: int = 4) -> None:
        self._client = client
        self._bodies = bodies
        self._model = _Model(client)
        self._embedder = _Embedder()
        self._tokenizer = ReversibleTokenizer()
        self._run = RunConfig(max_workers=workers)

    @property
    def usage(self) -> Usage:
        return self._client.usage

    def write(self, unit: Unit) -> list[Written]:
        """At most `unit.questions` rows. Raises UnitFailed or UserError; ragas raises whatever it likes."""
        nodes = [Node(id=uuid.uuid5(uuid.NAMESPACE_URL, p.id), type=NodeType.CHUNK,
                      properties={"page_content": f"{p.title}: {p.heading}\n\n{p.text}"}) for p in unit.passages]
        graph = KnowledgeGraph(nodes=nodes)
        with contextlib.redirect_stderr(io.StringIO()):  # eight progress bars, which cannot be switched off
            rows = self._generate(graph, unit)
        if not rows:
            raise UnitFailed("ragas found nothing to ask about these passages")
        return [Written(make_row(unit.row_id(n), row["user_input"], row["reference"],
                                 _passages(unit, row["reference_contexts"]), self._bodies), row["synthesizer_name"])
                for n, row in enumerate(rows)]

    def _generate(self, graph: KnowledgeGraph, unit: Unit) -> list[dict[str, Any]]:
        apply_transforms(graph, self._transforms(), run_config=self._run)
        personas = [Persona(name=name, role_description=role) for name, role in PERSONAS.items()]
        random.seed(unit.key)
        generator = TestsetGenerator(llm=self._model, embedding_model=self._embedder, knowledge_graph=graph,
                                     persona_list=personas)  # type: ignore[arg-type]
        testset = generator.generate(unit.questions, run_config=self._run,
                                     query_distribution=self._synthesizers(graph, unit.questions))
        return testset.to_list()[:unit.questions]

    def _transforms(self) -> list[Any]:
        shared = {"llm": self._model, "tokenizer": self._tokenizer}
        return [SummaryExtractor(**shared), ThemesExtractor(**shared), NERExtractor(**shared),
                EmbeddingExtractor(embedding_model=self._embedder, property_name="summary_embedding",
                                   embed_property_name="summary"),
                CosineSimilarityBuilder(property_name="summary_embedding", new_property_name="summary_similarity",
                                        threshold=SIMILAR),
                _SharedEntities()]

    def _synthesizers(self, graph: KnowledgeGraph, count: int) -> list[tuple[Any, float]]:
        """The kinds of question this graph has edges for, each with its share of `count`."""
        single, specific, abstract = (kind(llm=self._model, llm_context=GUIDANCE)
                                      for kind in (_SingleHop, _MultiHopSpecific, _MultiHopAbstract))
        specific.wanted = round(SHARES[1] * count) if specific.get_node_clusters(graph) else 0
        abstract.wanted = round(SHARES[2] * count) if abstract.get_node_clusters(graph) else 0
        single.wanted = count - specific.wanted - abstract.wanted
        chosen = [s for s in (single, specific, abstract) if s.wanted]
        for synthesizer in chosen:
            synthesizer.theme_persona_matching_prompt = _Matching()
        return [(s, s.wanted / count) for s in chosen]


def _passages(unit: Unit, contexts: Sequence[str]) -> list[Passage]:
    """The unit's passages behind ragas' reference contexts, which may be tagged `<1-hop>`."""
    return [p for p in unit.passages if any(context.endswith(p.text) for context in contexts)]
