"""Questions written by an OpenAI-compatible model through RAGAS' TestsetGenerator.

One unit is one small knowledge graph: summaries, themes and entities of its passages, edges between
passages that share them, then single-hop and multi-hop questions. ragas takes seconds to import and is
imported when the first unit is written.

Three things differ from ragas' defaults, each for a reason. Its chunk tokeniser is downloaded at first
use; ours comes with the embedder. Its entity edges are fuzzy (Jaro-Winkler .9) and would tie
DeepSeek-V2 to DeepSeek-V3; ours want the same name. Its random choices depend on the order in which
answers arrive; ours are seeded by what is chosen from, so that a unit done again asks the same.
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import logging
import os
import random
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from space.chat_client import ChatClient, Usage
from space.ragas_parts import Embedder, Model
from space.schema import Passage
from train.evidence import make_row
from train.ragas_parts import ReversibleTokenizer
from train.units import Unit, UnitFailed, Written

os.environ["RAGAS_DO_NOT_TRACK"] = "true"  # ragas reads it once, when it is first imported

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


def shared_entities(entities: Sequence[Sequence[str]]) -> list[tuple[int, int, list[str]]]:
    """Pairs of passages that name the same thing, with what they share, save what most of them name."""
    names = [{e.lower(): e for e in reversed(own)} for own in entities]
    common = {name for own in names for name in own
              if len(names) > 3 and sum(name in other for other in names) > len(names) / 2}
    pairs = ((i, j, sorted(names[i][name] for name in names[i].keys() & names[j].keys() - common))
             for i, j in itertools.combinations(range(len(names)), 2))
    return [pair for pair in pairs if pair[2]]


def known_personas(output: Any, input: Any) -> Any:
    """ragas stops at a persona that the model invented; here it is left out, and where none is left
    every persona has every theme."""
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


class _SingleHop(_Seeded):
    def _extract_themes_from_items(self, items: Any) -> list[str]:
        return sorted(super()._extract_themes_from_items(items))  # type: ignore[misc]


class _MultiHopSpecific(_Seeded):
    hops = 2

    def _extract_themes_from_overlaps(self, overlapped_items: Any) -> list[str]:
        return sorted(super()._extract_themes_from_overlaps(overlapped_items))  # type: ignore[misc]

    def get_node_clusters(self, graph: Any) -> list[tuple]:
        found = super().get_node_clusters(graph)  # type: ignore[misc]
        return sorted(found, key=lambda t: (t[0].id.hex, t[-1].id.hex))


class _MultiHopAbstract(_Seeded):
    hops = 2

    def get_node_clusters(self, graph: Any, n: int = 1) -> list:
        if not any(r.get_property(self.relation_property) for r in graph.relationships):  # type: ignore[attr-defined]
            return []
        found = super().get_node_clusters(graph, n)  # type: ignore[misc]
        return sorted((sorted(c, key=lambda node: node.id.hex) for c in found), key=lambda c: [x.id.hex for x in c])


@cache
def _synthesizer_kinds() -> tuple[type, type, type]:
    """ragas' single-hop, multi-hop specific and multi-hop abstract synthesizers, made repeatable."""
    from ragas.llms import InstructorBaseRagasLLM
    from ragas.testset.synthesizers import multi_hop
    from ragas.testset.synthesizers.single_hop import specific as single_hop

    logging.getLogger("ragas").setLevel(logging.CRITICAL)  # every failure is reported by the caller
    InstructorBaseRagasLLM.register(Model)
    return (type("SingleHop", (_SingleHop, single_hop.SingleHopSpecificQuerySynthesizer), {}),
            type("MultiHopSpecific", (_MultiHopSpecific, multi_hop.MultiHopSpecificQuerySynthesizer), {}),
            type("MultiHopAbstract", (_MultiHopAbstract, multi_hop.MultiHopAbstractQuerySynthesizer), {}))


class TestsetWriter:
    """Writes the rows of a unit through ragas."""

    __test__ = False  # for pytest, which takes the name for a test

    def __init__(self, client: ChatClient, bodies: Mapping[str, str], workers: int = 4) -> None:
        self._client = client
        self._bodies = bodies
        self._model = Model(client)
        self._embedder = Embedder()
        self._tokenizer = ReversibleTokenizer()
        self._workers = workers

    @property
    def usage(self) -> Usage:
        return self._client.usage

    def write(self, unit: Unit) -> list[Written]:
        """At most `unit.questions` rows. Raises UnitFailed or UserError; ragas raises whatever it likes."""
        with contextlib.redirect_stderr(io.StringIO()):  # eight progress bars, which cannot be switched off
            rows = self._generate(unit)
        if not rows:
            raise UnitFailed("ragas found nothing to ask about these passages")
        return [Written(make_row(unit.row_id(n), row["user_input"], row["reference"],
                                 _passages(unit, row["reference_contexts"]), self._bodies), row["synthesizer_name"])
                for n, row in enumerate(rows)]

    def _generate(self, unit: Unit) -> list[dict[str, Any]]:
        from ragas.run_config import RunConfig
        from ragas.testset import TestsetGenerator
        from ragas.testset.persona import Persona

        run = RunConfig(max_workers=self._workers)
        kinds = _synthesizer_kinds()
        graph = self._graph(unit, run)
        personas = [Persona(name=name, role_description=role) for name, role in PERSONAS.items()]
        random.seed(unit.key)
        generator: Any = TestsetGenerator(self._model, self._embedder, graph, personas)  # type: ignore[arg-type]
        testset = generator.generate(unit.questions, run_config=run,
                                     query_distribution=self._synthesizers(kinds, graph, unit.questions))
        return testset.to_list()[:unit.questions]

    def _graph(self, unit: Unit, run: Any) -> Any:
        """Passages with summary, themes and entities; edges where those are alike."""
        from ragas.testset.graph import KnowledgeGraph, Node, NodeType, Relationship
        from ragas.testset.transforms import apply_transforms, extractors
        from ragas.testset.transforms.extractors.llm_based import ThemesExtractor
        from ragas.testset.transforms.relationship_builders import CosineSimilarityBuilder

        nodes = [Node(id=uuid.uuid5(uuid.NAMESPACE_URL, p.id), type=NodeType.CHUNK,
                      properties={"page_content": f"{p.title}: {p.heading}\n\n{p.text}"}) for p in unit.passages]
        graph = KnowledgeGraph(nodes=nodes)
        shared: Any = {"llm": self._model, "tokenizer": self._tokenizer}
        embedder: Any = self._embedder
        apply_transforms(graph, [
            extractors.SummaryExtractor(**shared), ThemesExtractor(**shared), extractors.NERExtractor(**shared),
            extractors.EmbeddingExtractor(embedding_model=embedder, property_name="summary_embedding",
                                          embed_property_name="summary"),
            CosineSimilarityBuilder(property_name="summary_embedding", new_property_name="summary_similarity",
                                    threshold=SIMILAR)], run_config=run)
        for i, j, names in shared_entities([node.get_property("entities") or [] for node in nodes]):
            graph.relationships.append(Relationship(source=nodes[i], target=nodes[j], type="entities_overlap",
                                                    properties={"overlapped_items": names}))
        return graph

    def _synthesizers(self, kinds: Sequence[Any], graph: Any, count: int) -> list[tuple[Any, float]]:
        """The kinds of question this graph has edges for, each with its share of `count`."""
        single, specific, abstract = (kind(llm=self._model, llm_context=GUIDANCE) for kind in kinds)
        specific.wanted = round(SHARES[1] * count) if specific.get_node_clusters(graph) else 0
        abstract.wanted = round(SHARES[2] * count) if abstract.get_node_clusters(graph) else 0
        single.wanted = count - specific.wanted - abstract.wanted
        chosen = [s for s in (single, specific, abstract) if s.wanted]
        for synthesizer in chosen:
            synthesizer.theme_persona_matching_prompt = copy.deepcopy(synthesizer.theme_persona_matching_prompt)
            synthesizer.theme_persona_matching_prompt.process_output = known_personas
        return [(s, s.wanted / count) for s in chosen]


def _passages(unit: Unit, contexts: Sequence[str]) -> list[Passage]:
    """The unit's passages behind ragas' reference contexts, which may be tagged `<1-hop>`."""
    return [p for p in unit.passages if any(context.endswith(p.text) for context in contexts)]
